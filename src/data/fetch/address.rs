//! Addresses of the web: what may be said of them, whom they name, where a redirect leads.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// An address with the name and password that it may hold kept apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// To ask for.
    pub url: String,
    /// The value of an `Authorization` header.
    pub authorization: Option<String>,
}

impl Address {
    /// `None` for an address of another kind than HTTP.
    pub(super) fn new(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) {
            return None;
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        if host.is_empty() {
            return None;
        }
        let authorization = user.map(|user| format!("Basic {}", STANDARD.encode(decoded(user))));
        Some(Self { url: format!("{}://{host}{path}", scheme.to_ascii_lowercase()), authorization })
    }

    /// Whether what goes over the line is encrypted.
    pub(super) fn is_secure(&self) -> bool {
        self.url.starts_with("https:")
    }

    /// Where a `Location` header of an answer from here leads, as text.
    pub(super) fn join(&self, location: &str) -> String {
        let (scheme, rest) = self.url.split_once("://").unwrap_or_default();
        let host = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        let path = &rest[host.len()..rest.find(['?', '#']).unwrap_or(rest.len())];
        let named = location.split_once(':').is_some_and(|(scheme, _)| {
            !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        });
        match location {
            _ if named => location.to_owned(),
            _ if location.starts_with("//") => format!("{scheme}:{location}"),
            _ if location.starts_with('/') => format!("{scheme}://{host}{location}"),
            _ => {
                let folder = path.rfind('/').map_or("/", |end| &path[..=end]);
                format!("{scheme}://{host}{folder}{location}")
            }
        }
    }
}

/// An address as it may be shown: without name, password and query, which may hold secrets. It need not be one.
pub fn masked(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").map_or(("", address), |(scheme, rest)| (scheme, rest));
    // A password may hold what ends a host's name.
    let rest = rest.rsplit_once('@').map_or_else(|| rest.to_owned(), |(_, host)| format!("***@{host}"));
    let shown = match rest.split_once('?') {
        Some((before, _)) => format!("{before}?***"),
        None => rest,
    };
    let shown = if scheme.is_empty() { shown } else { format!("{scheme}://{shown}") };
    shown.replace(char::is_control, "\u{fffd}")
}

/// Bytes in which `%41` stands for `A`.
fn decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while place < bytes.len() {
        let pair = text.get(place + 1..place + 3).filter(|_| bytes[place] == b'%');
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                place += 3;
            }
            None => {
                decoded.push(bytes[place]);
                place += 1;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_kept_apart() {
        let address = Address::new("https://me:a%3Ab@host:8443/a/b?key=1").unwrap();
        assert_eq!(address.url, "https://host:8443/a/b?key=1");
        assert_eq!(address.authorization.unwrap(), format!("Basic {}", STANDARD.encode("me:a:b")));
        assert!(address.url.starts_with("https:") && Address::new("HTTPS://host").unwrap().is_secure());
        assert_eq!(Address::new("http://host/a@b").unwrap().authorization, None);
        for other in ["file:///etc/passwd", "ftp://host/", "host/path", "https://", "https://me:secret@/x"] {
            assert_eq!(Address::new(other), None, "{other}");
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        for (address, shown) in [
            ("https://host/data/", "https://host/data/"),
            ("https://me:secret@host/data", "https://***@host/data"),
            ("https://me:se/cret@host/data", "https://***@host/data"),
            ("me:secret@host/data", "***@host/data"),
            ("ftp://me:secret@host", "ftp://***@host"),
            ("https://host/data?token=secret", "https://host/data?***"),
            ("https://host/data?token=se@cret", "https://***@cret"),
            ("https://host/\x1b[2J", "https://host/\u{fffd}[2J"),
        ] {
            assert_eq!(masked(address), shown);
        }
    }

    #[test]
    fn redirects_lead_where_their_header_says() {
        let from = Address::new("https://host:1/a/b?c=/d").unwrap();
        for (location, to) in [
            ("https://other/x", "https://other/x"),
            ("//other/x", "https://other/x"),
            ("/x/y", "https://host:1/x/y"),
            ("x", "https://host:1/a/x"),
            ("?e=f", "https://host:1/a/?e=f"),
            ("file:///etc/passwd", "file:///etc/passwd"),
        ] {
            assert_eq!(from.join(location), to, "{location}");
        }
        assert_eq!(Address::new("http://host").unwrap().join("x"), "http://host/x");
    }
}
