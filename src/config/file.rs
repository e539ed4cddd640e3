//! Reading a file of text, up to a limit.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// The most bytes that a file of configuration may have; a larger one is a problem and not read. Ten thousand targets
/// need about one million.
pub(super) const FILE_LIMIT: u64 = 8 << 20;

/// Why there is no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// There is no such file.
    Absent,
    /// There is something, but no text can be had of it; the message ends in the cure.
    Fault(String),
}

/// The text of a file, without its byte order mark.
pub(super) fn read_text(path: &Path) -> Result<String, Unreadable> {
    let fault = |error: std::io::Error| {
        match error.kind() {
        ErrorKind::NotFound => Unreadable::Absent,
        ErrorKind::PermissionDenied => {
            Unreadable::Fault("may not be read: give this program's user permission to read it".to_owned())
        }
        ErrorKind::IsADirectory => Unreadable::Fault(
            "is a folder: name a file (a container engine makes a folder where the file that it should mount is missing)"
                .to_owned(),
        ),
        _ => Unreadable::Fault(format!("cannot be read ({error}): check the file and its disk")),
    }
    };
    let mut bytes = Vec::new();
    File::open(path).map_err(fault)?.take(FILE_LIMIT + 1).read_to_end(&mut bytes).map_err(fault)?;
    decode(bytes).map_err(Unreadable::Fault)
}

fn decode(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(format!("is larger than {} MiB: check that it is the right file", FILE_LIMIT >> 20));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("is not UTF-8 (byte {at} and on): save it as UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        assert_eq!(read_text(&path), Err(Unreadable::Absent));
        assert!(matches!(read_text(folder.path()), Err(Unreadable::Fault(fault)) if fault.starts_with("is a folder")));
        std::fs::write(&path, b"a\xffb").expect("written");
        assert_eq!(
            read_text(&path),
            Err(Unreadable::Fault("is not UTF-8 (byte 1 and on): save it as UTF-8".to_owned()))
        );
        std::fs::write(&path, "\u{feff}text").expect("written");
        assert_eq!(read_text(&path), Ok("text".to_owned()));
    }

    #[test]
    fn a_file_over_the_limit_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        File::create(&path).and_then(|file| file.set_len(FILE_LIMIT + 1)).expect("a large file");
        assert!(matches!(read_text(&path), Err(Unreadable::Fault(fault)) if fault.starts_with("is larger than 8 MiB")));
    }
}
