//! Whether the token has the abilities that incidents take.

use serde_json::json;

use super::Error;
use super::client::Cachet;
use super::wire::Incident;
use crate::core::observed::MANAGED_BY;
use crate::core::status::IncidentStatus;

/// The title of the incident that the abilities are tried on. A comma would split the filter.
const TITLE: &str = "Check of the token by alertmanager-cachet";

impl Cachet {
    /// Tries the abilities that incidents take on one incident that nobody sees: it is invisible, fixed, attached to no
    /// component, and made without notifications. It is deleted again, or kept for the next time where the token may not
    /// delete. Cachet answers 404 and 422 before it looks at abilities, so nothing less would tell.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for the first ability that is missing, or why it could not be tried.
    pub async fn prove_abilities(&self) -> Result<(), Error> {
        let known = self.list::<Incident>(self.incident_call("/incidents").await?.with("filter[name]", TITLE)).await?;
        let fixed = IncidentStatus::Fixed.value();
        let mut body = json!({
            "name": TITLE, "message": "Nobody sees this incident.", "status": fixed, "visible": false,
            "notifications": false,
        });
        let has_meta = self.probe().await?.meta;
        if has_meta {
            body["meta"] = json!({"managed_by": MANAGED_BY});
        }
        // Without meta nothing but the title says whose it is.
        let is_kept = |incident: &Incident| incident.name() == TITLE && (!has_meta || incident.is_ours());
        let id = match known.into_iter().find(|row| is_kept(&row.attributes)) {
            Some(row) => row.id,
            None => self.create("/incidents", body).await?,
        };
        self.update(format!("/incidents/{id}"), json!({"status": fixed, "visible": false})).await?;
        let said = json!({"status": fixed, "message": "Nobody sees this update."});
        let updated = self.create(&format!("/incidents/{id}/updates"), said).await;
        match self.delete(format!("/incidents/{id}")).await {
            Ok(()) | Err(Error::Forbidden { .. }) => updated.map(drop),
            Err(error) => Err(error),
        }
    }
}
