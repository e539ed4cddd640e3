//! A page that was told too little, too late or too often is right in the end: the server beside real Alertmanagers.

mod away;
mod clock;
mod pair;
mod site;
pub mod stepped;
mod whole;
