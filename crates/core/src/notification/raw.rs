//! A notification's JSON with the shape that it has, not the one that it should have.
//!
//! Deserialising these types fails only where the JSON itself is broken or the list `alerts` is missing; a field of the
//! wrong type becomes a value that says so. Unknown fields are skipped without recursion, however deep they are.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The fields of a notification that are used.
#[derive(Deserialize)]
pub(super) struct RawNotification {
    pub alerts: Vec<Shaped<RawAlert>>,
    #[serde(default)]
    pub receiver: Scalar,
    #[serde(default, rename = "truncatedAlerts")]
    pub truncated_alerts: Scalar,
}

/// The fields of an alert that are used.
#[derive(Deserialize)]
pub(super) struct RawAlert {
    #[serde(default)]
    pub status: Scalar,
    #[serde(default)]
    pub labels: Shaped<RawLabels>,
    #[serde(default, rename = "startsAt")]
    pub starts_at: Scalar,
    #[serde(default, rename = "endsAt")]
    pub ends_at: Scalar,
    #[serde(default)]
    pub fingerprint: Scalar,
}

/// The labels that are used, and how much there is of all of them.
#[derive(Default)]
pub(crate) struct RawLabels {
    pub(super) alertname: Scalar,
    pub(super) instance: Scalar,
    pub(super) status_page_alert: Scalar,
    pub(super) status_page_component: Scalar,
    pub(super) status_page_critical_target: Scalar,
    /// How many labels there are.
    pub(super) count: usize,
    /// The bytes of their names and values.
    pub(super) bytes: usize,
}

impl<'de> Deserialize<'de> for RawLabels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LabelsVisitor)
    }
}

struct LabelsVisitor;

impl<'de> Visitor<'de> for LabelsVisitor {
    type Value = RawLabels;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("labels")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<RawLabels, A::Error> {
        let mut labels = RawLabels::default();
        while let Some((name, value)) = object.next_entry::<String, Scalar>()? {
            labels.count += 1;
            labels.bytes += name.len() + value.text().map_or(0, str::len);
            match name.as_str() {
                "alertname" => labels.alertname = value,
                "instance" => labels.instance = value,
                "status_page_alert" => labels.status_page_alert = value,
                "status_page_component" => labels.status_page_component = value,
                "status_page_critical_target" => labels.status_page_critical_target = value,
                _ => {}
            }
        }
        Ok(labels)
    }
}

/// An object of the wanted shape, or anything that is no object.
#[derive(Default)]
pub(crate) enum Shaped<T> {
    Object(T),
    #[default]
    Other,
}

/// A single value.
#[derive(Default)]
pub(super) enum Scalar {
    Text(String),
    Bool(bool),
    Count(u64),
    /// Missing, or anything else.
    #[default]
    Other,
}

impl Scalar {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bool(_) | Self::Count(_) | Self::Other => None,
        }
    }

    /// The text, if it is one with something in it.
    pub fn filled_text(&self) -> Option<&str> {
        self.text().filter(|text| !text.trim().is_empty())
    }

    /// Whether it says `true`. Labels are texts; a hand-made post may well have a bool.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Text(text) => text.trim().eq_ignore_ascii_case("true"),
            Self::Bool(value) => *value,
            Self::Count(_) | Self::Other => false,
        }
    }

    /// The number, 0 if it is none.
    pub fn count(&self) -> u64 {
        match self {
            Self::Count(count) => *count,
            Self::Text(_) | Self::Bool(_) | Self::Other => 0,
        }
    }
}

/// The visits that make nothing but [`Scalar::Other`] or [`Shaped::Other`]: the rest of a list or object is skipped.
macro_rules! other {
    ($($visit:ident: $value:ty),*) => {$(
        fn $visit<E>(self, _: $value) -> Result<Self::Value, E> {
            Ok(Self::Value::Other)
        }
    )*};
    (unit) => {
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::Other)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(Self::Value::Other)
        }
    };
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_u64<E>(self, count: u64) -> Result<Scalar, E> {
        Ok(Scalar::Count(count))
    }

    other!(visit_i64: i64, visit_f64: f64);
    other!(unit);

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Scalar, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shaped<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapedVisitor(PhantomData))
    }
}

struct ShapedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ShapedVisitor<T> {
    type Value = Shaped<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Shaped<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(object)).map(Shaped::Object)
    }

    other!(visit_str: &str, visit_bool: bool, visit_u64: u64, visit_i64: i64, visit_f64: f64);
    other!(unit);
}
