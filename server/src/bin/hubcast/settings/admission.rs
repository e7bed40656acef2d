//! Who is let in, as all settings of access together say it.

use super::layered::Settings;
use super::tokens::LoadedTokens;
use super::units::AutoSwitch;
use anyhow::{anyhow, bail};
use hubcast_hub::{Access, Admission};
use hubcast_server::Tls;
use hubcast_server::auth::{ApiKeys, AuthConfig, TrustedProxies};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the library needs to know of all this.
#[derive(Clone, Debug)]
pub(crate) struct LoadedAccess {
    pub(crate) admission: Admission,
    pub(crate) auth: AuthConfig,
    /// Whether there is a console.
    pub(crate) console: bool,
    /// The certificate of the server.
    pub(crate) tls: Option<Arc<Tls>>,
    /// What the operator should know, although nothing is wrong.
    pub(crate) warnings: Vec<String>,
}

/// Reads the keys, and decides what a client without a token may do.
///
/// # Errors
/// What is wrong with each key; or that the server would be open to a network by accident.
pub(crate) fn load(settings: &Settings) -> anyhow::Result<LoadedAccess> {
    let options = &settings.options;
    let tokens = &options.tokens.value;
    let mut faults = Vec::new();
    let loaded = tokens.load().unwrap_or_else(|wrong| {
        faults.extend(wrong.iter().map(|fault| format!("{}{fault}", settings.place_of("tokens"))));
        LoadedTokens::default()
    });
    let api_keys = options.api_keys.value.keys().unwrap_or_else(|wrong| {
        faults.extend(wrong.iter().map(|fault| format!("{}{fault}", settings.place_of("api_keys"))));
        ApiKeys::default()
    });
    if !faults.is_empty() {
        bail!(faults.join("\n       "));
    }
    let anonymous = options.anonymous.value.0.clone();
    let is_local = is_for_this_machine(settings)?;
    let (has_tokens, has_keys) = (tokens.has_keys(), !api_keys.is_empty());
    if !is_local && !options.open && !has_tokens && !has_keys {
        bail!(
            "{}: other machines could do everything here; set up tokens or api_keys, or let everybody in on purpose \
             by --open (open = true)",
            settings.origin_of("listen")
        );
    }
    let is_open = options.open || is_local && !has_tokens && anonymous.is_empty();
    let admission = Admission {
        default: if is_open { Access::Anyone } else { Access::Granted },
        token_required: !is_open && has_tokens && anonymous.is_empty(),
        anonymous,
        each_user: options.users.value.0,
        ..Admission::default()
    };
    let console = match options.console {
        AutoSwitch::Auto => is_local || has_keys,
        AutoSwitch::Set(is_on) => is_on,
    };
    let auth = AuthConfig {
        verifier: loaded.verifier.map(Arc::new),
        jwks: loaded.jwks,
        api_keys: Arc::new(api_keys),
        trusted_proxies: TrustedProxies::new(options.trusted_proxies.list()),
        query_tokens: tokens.query.unwrap_or(is_local),
        hosts: options.hosts.list(),
        ..AuthConfig::default()
    };
    let place = settings.place_of("tokens");
    let mut warnings: Vec<_> = loaded.warnings.iter().map(|warning| format!("{place}{warning}")).collect();
    let tls = certificate(settings, &mut warnings)?;
    Ok(LoadedAccess { admission, auth, console, tls, warnings })
}

/// Whether only programs on this machine can reach the server.
///
/// # Errors
/// When it listens on nothing, or nobody could send the headers that it expects.
fn is_for_this_machine(settings: &Settings) -> anyhow::Result<bool> {
    let options = &settings.options;
    let listen = options.listen.list();
    if listen.is_empty() {
        bail!("{}: a server listens on at least one address", settings.origin_of("listen"));
    }
    let is_on_network = listen.iter().any(|endpoint| endpoint.path().is_none());
    if options.proxy_protocol && is_on_network && options.trusted_proxies.list().is_empty() {
        bail!(
            "{}: trusted_proxies is missing; it lists the addresses of the proxies that send the header",
            settings.origin_of("proxy_protocol")
        );
    }
    Ok(listen.iter().all(|endpoint| endpoint.path().is_some() || is_local(endpoint.as_str())))
}

/// Reads the certificate, if there is one.
fn certificate(settings: &Settings, warnings: &mut Vec<String>) -> anyhow::Result<Option<Arc<Tls>>> {
    let (certificate, key) = match (settings.options.tls_certificate.path(), settings.options.tls_key.path()) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(_), None) => bail!("{}: tls_key is missing", settings.origin_of("tls_certificate")),
        (None, Some(_)) => bail!("{}: tls_certificate is missing", settings.origin_of("tls_key")),
    };
    let tls = Tls::load(&certificate, &key);
    let tls = tls.map_err(|fault| anyhow!("{}: {fault}", settings.place_of("tls_certificate")))?;
    if fs::metadata(&key).is_ok_and(|file| file.permissions().mode() & 0o004 != 0) {
        warnings.push(format!("{}: every user of this machine may read it", key.display()));
    }
    if tls.expires().is_some_and(|end| UNIX_EPOCH + Duration::from_secs(end) < SystemTime::now()) {
        warnings.push(format!("{}: the certificate is no longer valid", certificate.display()));
    }
    Ok(Some(Arc::new(tls)))
}

/// Whether only programs on this machine can reach an address. A name is not looked up.
fn is_local(listen: &str) -> bool {
    let host = listen.rsplit_once(':').map_or(listen, |(host, _)| host);
    let address = listen.parse::<SocketAddr>().map(|address| address.ip()).ok();
    let address = address.or_else(|| host.parse::<IpAddr>().ok());
    address.map_or(host.eq_ignore_ascii_case("localhost"), |address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::super::layered::tests::of_file;
    use super::*;
    use hubcast_server::auth::KeyHash;
    use std::env;
    use uuid::Uuid;

    fn fault(text: &str) -> String {
        match of_file(text) {
            Ok(settings) => load(&settings).unwrap_err().to_string(),
            Err(fault) => fault.to_string(),
        }
    }

    fn loaded(text: &str) -> LoadedAccess {
        load(&of_file(text).unwrap()).unwrap()
    }

    /// The example with its lines taken in, and with keys that are there in place of files.
    #[test]
    fn the_example_of_a_server_for_the_internet_is_right() {
        let example = include_str!("../../../../../hubcast.example.toml");
        let own = example.lines().skip_while(|line| *line != "## Tokens and API keys");
        let mut text: Vec<_> = own.filter_map(|line| line.strip_prefix("#   ")).collect();
        text.retain(|line| !line.contains("login.pem") && !line.contains("login.jwks.json"));
        let text =
            text.join("\n").replace("secret_file = \"token.secret\"", "secret = \"0123456789abcdef0123456789abcdeX\"");
        let loaded = loaded(&text.replace("sha256:…", &format!("sha256:{}", "7".repeat(64))));
        assert_eq!(loaded.auth.api_keys.keys().len(), 1);
        assert!(loaded.admission.token_required && !loaded.auth.query_tokens);
    }

    const KEYS: &str = "[tokens]\nkeys = [{ secret = \"0123456789abcdef0123456789abcdeX\" }]";

    #[test]
    fn nobody_is_let_in_from_the_network_by_accident() {
        for listen in ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80", "hub.example:80"] {
            let told = fault(&format!("listen = \"{listen}\""));
            assert!(told.contains("api_keys") && told.contains("--open"), "{told}");
            assert_eq!(loaded(&format!("listen = \"{listen}\"\nopen = true")).admission.default, Access::Anyone);
            let guarded = loaded(&format!("listen = \"{listen}\"\n{KEYS}")).admission;
            assert_eq!((guarded.default, guarded.token_required), (Access::Granted, true));
        }
        for listen in ["127.0.0.1:0", "[::1]:8080", "localhost:8080", "127.8.9.1:80", "[::ffff:127.0.0.1]:80"] {
            assert_eq!(loaded(&format!("listen = \"{listen}\"")).admission.default, Access::Anyone, "{listen}");
        }
    }

    #[test]
    fn what_the_anonymous_are_granted_lets_them_in() {
        let with = loaded(&format!("{KEYS}\n[anonymous]\nsubscribe = [\"news.>\"]")).admission;
        assert_eq!((with.default, with.token_required), (Access::Granted, false));
        let without_keys = loaded("[anonymous]\nsubscribe = [\"news.>\"]").admission;
        assert_eq!((without_keys.default, without_keys.token_required), (Access::Granted, false));
        assert!(fault("[anonymous]\nsubscribe = [\"a..b\"]").contains("subscribe has \"a..b\""));
        assert!(fault("[anonymous]\nread = []").contains("read: there is no such key"));
    }

    #[test]
    fn an_api_key_that_is_none_or_may_nothing_is_refused() {
        let hash = KeyHash::of("x");
        for (entry, expected) in [
            ("id = \"a\"".to_owned(), "key_hash is missing"),
            ("id = \"a\"\nkey_hash = \"x\"".to_owned(), "not a hash"),
            (format!("id = \"a\"\nkey_hash = \"{hash}\""), "may do nothing"),
            (format!("key_hash = \"{hash}\"\nmanage = true"), "id is missing"),
            ("key = \"hc_x\"\nmanage = true".to_owned(), "this is no API key"),
            (
                format!("id = \"hc_a_{}\"\nkey_hash = \"{hash}\"\nmanage = true", "7".repeat(43)),
                "id: this is a key itself",
            ),
            (format!("id = \"A b\"\nkey_hash = \"{hash}\"\nmanage = true"), "small letters"),
        ] {
            let told = fault(&format!("[[api_keys]]\n{entry}"));
            assert!(told.contains("key 1: ") && told.contains(expected), "{entry}: {told}");
            assert!(!told.contains("777"), "{told}");
        }
        let right = loaded(&format!("[[api_keys]]\nid = \"a\"\nkey_hash = \"{hash}\"\npublish = [\">\"]"));
        assert!(right.auth.api_keys.by_id("a").is_some());
    }

    #[test]
    fn a_fault_of_a_key_names_the_file_of_the_settings() {
        let told = fault("[[tokens.keys]]\nsecret = \"short\"\n[[api_keys]]\nkey = \"hc_x\"\nmanage = true");
        let places: Vec<_> = told.lines().map(|line| line.trim_start().split(" key 1: ").next().unwrap()).collect();
        assert_eq!(places, ["some.toml: tokens,", "some.toml: api_keys,"], "{told}");
    }

    #[test]
    fn a_key_of_a_set_that_is_not_used_is_a_warning() {
        let path = env::temp_dir().join(format!("hubcast-{}.json", Uuid::new_v4()));
        let usable = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        fs::write(&path, format!(r#"{{"keys":[{usable},{{"kty":"oct","k":"AQ"}}]}}"#)).unwrap();
        let loaded = loaded(&format!("[[tokens.keys]]\njwks = {path:?}"));
        fs::remove_file(&path).unwrap();
        let expected =
            format!("some.toml: tokens: {}: key 2 is not used: it is a secret, not a public key", path.display());
        assert_eq!(loaded.warnings, [expected]);
    }

    #[test]
    fn a_limit_of_nothing_is_refused() {
        assert!(fault("[users]\nconnections = 0").contains("at least 1"));
        assert_eq!(loaded("[users]\nconnections = 3").admission.each_user.connections, Some(3));
    }
}
