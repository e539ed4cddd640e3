//! Reading a file of text, up to a limit.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
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
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(FILE_LIMIT + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    decode(bytes).map_err(Unreadable::Fault)
}

fn unreadable(error: io::Error) -> Unreadable {
    Unreadable::Fault(match error.kind() {
        ErrorKind::NotFound => return Unreadable::Absent,
        ErrorKind::PermissionDenied => {
            "may not be read: give this program's user permission to read it and to enter its folder".to_owned()
        }
        ErrorKind::IsADirectory => "is a folder: name a file (a container engine makes a folder where the file that \
                                    it should mount is missing)"
            .to_owned(),
        _ => format!("cannot be read ({error}): check the file and its disk"),
    })
}

fn decode(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(format!("is larger than {} MiB: check that it is the right file", FILE_LIMIT >> 20));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let readable = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = 1 + readable.iter().filter(|byte| **byte == b'\n').count();
        format!("is not UTF-8 (line {line}): save it as UTF-8")
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
        std::fs::write(&path, b"a\nb\xffb").expect("written");
        assert_eq!(read_text(&path), Err(Unreadable::Fault("is not UTF-8 (line 2): save it as UTF-8".to_owned())));
        std::fs::write(&path, "\u{feff}text").expect("written");
        assert_eq!(read_text(&path), Ok("text".to_owned()));
    }

    /// The tests may run as root, who may read everything.
    #[test]
    fn a_file_without_permission_says_who_needs_it() {
        let fault = unreadable(ErrorKind::PermissionDenied.into());
        assert!(matches!(fault, Unreadable::Fault(text) if text.starts_with("may not be read: give this program's")));
        let fault = unreadable(io::Error::other("the disk is gone"));
        assert!(matches!(fault, Unreadable::Fault(text) if text.starts_with("cannot be read (the disk is gone): ")));
    }

    #[test]
    fn a_file_over_the_limit_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        File::create(&path).and_then(|file| file.set_len(FILE_LIMIT + 1)).expect("a large file");
        assert!(matches!(read_text(&path), Err(Unreadable::Fault(fault)) if fault.starts_with("is larger than 8 MiB")));
    }
}
