//! Reads a list to its end.

use std::collections::BTreeMap;
use std::ops::Range;

use futures_util::future::try_join_all;
use serde::de::DeserializeOwned;

use super::client::Cachet;
use super::transport::Call;
use super::wire::{Page, Row};
use super::{Error, client::MAX_PARALLEL};

/// The longest list that is read; a page that always claims to have a next one ends there, as [`Error::NotCachet`].
const MAX_ROWS: u32 = 100_000;

impl Cachet {
    /// Every row of a list, by number, each once.
    ///
    /// Without `sort=id` pages skip rows. Cachet never says how many pages there are, so pages are read ahead: one,
    /// then two, then four at a time; those beyond the end are empty (127). A row that is removed meanwhile may push
    /// another to a page already read; the next reading has it.
    pub(super) async fn list<A: DeserializeOwned>(&self, list: Call) -> Result<Vec<Row<A>>, Error> {
        let list = list.with("sort", "id").with("per_page", self.per_page());
        let last_page = MAX_ROWS / u32::from(self.per_page());
        let (mut rows, mut next, mut ahead) = (BTreeMap::new(), 1, 1);
        while next <= last_page {
            for page in self.pages::<A>(&list, next..next + ahead).await? {
                let is_last = !page.has_next();
                rows.extend(page.data.into_iter().map(|row| (row.id, row)));
                if is_last {
                    return Ok(rows.into_values().collect());
                }
            }
            next += ahead;
            ahead = (ahead * 2).min(MAX_PARALLEL);
        }
        let what = format!("its list has not ended after {MAX_ROWS} rows");
        Err(Error::NotCachet { call: list.to_string(), status: 200, what })
    }

    async fn pages<A: DeserializeOwned>(&self, list: &Call, numbers: Range<u32>) -> Result<Vec<Page<A>>, Error> {
        try_join_all(numbers.map(|number| self.read(list.clone().with("page", number)))).await
    }
}
