//! A page that was told too little is put right from the list of a real Alertmanager.

mod stepped;
mod whole;
