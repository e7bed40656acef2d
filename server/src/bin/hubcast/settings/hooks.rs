//! The settings of hooks: where events are sent, which ones, and how they are signed.

use super::tables::{FromValue, no_more, table, tables, take};
use super::tokens;
use super::units::{Count, DurationText, Size};
use hubcast_protocol::Pattern;
use hubcast_server::HttpUrl;
use hubcast_server::hooks::{EventKind, Hook, HookLimits, HookSecret};
use std::path::PathBuf;
use std::time::Duration;
use toml::{Table, Value};

/// The hooks.
#[derive(Clone, Debug, Default)]
pub(crate) struct HookSettings(Vec<HookEntry>);

/// One hook, with secrets and certificates that may be in files.
#[derive(Clone)]
struct HookEntry {
    name: String,
    url: HttpUrl,
    secrets: SecretSource,
    ca_file: Option<PathBuf>,
    events: Option<Vec<EventKind>>,
    topics: Option<Vec<Pattern>>,
    limits: HookLimits,
}

#[derive(Clone)]
enum SecretSource {
    Given(Vec<HookSecret>),
    File(PathBuf),
}

impl HookSettings {
    /// The hooks, with what is in their files. `public_only`: they may reach public addresses alone.
    ///
    /// # Errors
    /// What is wrong with each hook. Each text continues the name of the setting.
    pub(super) fn load(&self, public_only: bool) -> Result<Vec<Hook>, Vec<String>> {
        let (mut hooks, mut faults) = (Vec::<Hook>::new(), Vec::new());
        for (index, entry) in self.0.iter().enumerate() {
            let hook =
                entry.load(public_only).and_then(|hook| match hooks.iter().any(|other| other.name == hook.name) {
                    true => Err(format!("name = {:?}: another hook has this name", hook.name)),
                    false => Ok(hook),
                });
            match hook {
                Ok(hook) => hooks.push(hook),
                Err(fault) => faults.push(format!(", hook {}: {fault}", index + 1)),
            }
        }
        if faults.is_empty() { Ok(hooks) } else { Err(faults) }
    }
}

impl HookEntry {
    fn load(&self, public_only: bool) -> Result<Hook, String> {
        let Self { name, url, secrets, ca_file, events, topics, limits } = self;
        if !url.may_be_told(public_only) {
            return Err(match public_only {
                true => "url: this is no address of the public internet, and hooks_public_only is true".to_owned(),
                false => "url: a link-local address is told nothing".to_owned(),
            });
        }
        let secrets = match secrets {
            SecretSource::Given(secrets) => secrets.clone(),
            SecretSource::File(path) => {
                let text = tokens::read(path)?;
                let read = text.split_whitespace().map(str::parse).collect::<Result<Vec<HookSecret>, _>>();
                let read = read.map_err(|fault| format!("{}: {fault}", path.display()))?;
                if read.is_empty() {
                    return Err(format!("{}: there is no secret in it; {MAKE_ONE}", path.display()));
                }
                read
            }
        };
        let roots = ca_file.as_deref().map(tokens::read_roots).transpose()?;
        let (name, url, events, topics, limits) = (name.clone(), url.clone(), events.clone(), topics.clone(), *limits);
        Ok(Hook { name, url, secrets, roots, events, topics, limits })
    }
}

impl FromValue for HookSettings {
    const NOTHING: &'static str = "list";

    fn read(value: &Value) -> Result<Self, String> {
        tables(value, EXAMPLE, "hook", hook).map(Self)
    }
}

/// Reads the settings of one hook.
fn hook(value: &Value) -> Result<HookEntry, String> {
    let mut given = table(value, EXAMPLE)?;
    let name: String = take(&mut given, "name")?.ok_or("name is missing; the log and the metrics name the hook so")?;
    if !Hook::is_name(&name) {
        return Err(format!("name = {name:?}: a name has 1 to 32 small letters, digits, hyphens and underscores"));
    }
    let url: String = take(&mut given, "url")?.ok_or("url is missing; write url = \"https://example.org/hubcast\"")?;
    // Its text is not shown: a password can be in it.
    let url: HttpUrl = url.parse().map_err(|fault| format!("url: {fault}"))?;
    let ca_file: Option<PathBuf> = take(&mut given, "ca_file")?;
    if ca_file.is_some() && url.to_string().starts_with("http://") {
        return Err("ca_file: there are no certificates over http://; leave it out".to_owned());
    }
    let entry = HookEntry {
        name,
        url,
        secrets: secrets(&mut given)?,
        ca_file,
        events: take_each(&mut given, "events", "events of no kind are no hook; leave it out for all")?,
        topics: take_each(&mut given, "topics", "no topic is in it; leave it out for all")?,
        limits: limits(&mut given)?,
    };
    no_more(
        &given,
        "name, url, secret, secrets, secret_file, events, topics, ca_file, timeout, give_up_after, queue and queue_bytes",
    )?;
    Ok(entry)
}

fn secrets(given: &mut Table) -> Result<SecretSource, String> {
    let secret: Option<String> = take(given, "secret")?;
    let secrets: Option<Vec<String>> = take(given, "secrets")?;
    let file: Option<PathBuf> = take(given, "secret_file")?;
    let (key, texts) = match (secret, secrets, file) {
        (Some(secret), None, None) => ("secret", vec![secret]),
        (None, Some(secrets), None) if !secrets.is_empty() => ("secrets", secrets),
        (None, None, Some(file)) => return Ok(SecretSource::File(file)),
        (None, _, None) => {
            return Err(format!("secret is missing, by which the receiver knows this server; {MAKE_ONE}"));
        }
        _ => return Err("a hook has one of secret, secrets and secret_file".to_owned()),
    };
    let read = texts.iter().map(|text| text.parse()).collect::<Result<_, _>>();
    read.map(SecretSource::Given).map_err(|fault| format!("{key}: {fault}"))
}

/// Removes and reads a list of texts with a meaning. An empty one is refused.
fn take_each<T: std::str::FromStr<Err: std::fmt::Display>>(
    given: &mut Table,
    key: &str,
    if_empty: &str,
) -> Result<Option<Vec<T>>, String> {
    let Some(texts) = take::<Vec<String>>(given, key)? else { return Ok(None) };
    if texts.is_empty() {
        return Err(format!("{key} = []: {if_empty}"));
    }
    let read = |text: &String| text.parse().map_err(|fault| format!("{key} has {text:?}: {fault}"));
    texts.iter().map(read).collect::<Result<_, _>>().map(Some)
}

fn limits(given: &mut Table) -> Result<HookLimits, String> {
    let usual = HookLimits::default();
    let time = |given: &mut Table, key: &str, usual: Duration| {
        let time = take(given, key)?.map_or(usual, |DurationText(time)| time);
        if time.is_zero() { Err(format!("{key} = \"0s\": must be longer than nothing")) } else { Ok(time) }
    };
    let limits = HookLimits {
        events: take(given, "queue")?.map_or(usual.events, |Count(events)| events as usize),
        bytes: take(given, "queue_bytes")?.map_or(usual.bytes, |Size(bytes)| bytes),
        timeout: time(given, "timeout", usual.timeout)?,
        give_up_after: time(given, "give_up_after", usual.give_up_after)?,
    };
    match limits {
        HookLimits { events: 0, .. } => Err("queue = 0: must be at least 1".to_owned()),
        HookLimits { bytes: 0..MIN_QUEUE_BYTES, .. } => Err("queue_bytes: must be at least 64KiB".to_owned()),
        limits => Ok(limits),
    }
}

/// Shows no secret.
impl std::fmt::Debug for HookEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HookEntry").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A queue must hold some events of any length.
const MIN_QUEUE_BYTES: usize = 64 * 1024;

const EXAMPLE: &str =
    "[{ name = \"shop\", url = \"https://shop.example.org/hubcast\", secret_file = \"hook.secret\" }]";
const MAKE_ONE: &str = "make one by: echo \"whsec_$(openssl rand -base64 32)\"";

#[cfg(test)]
mod tests {
    use super::super::layered::tests::of_file;
    use super::*;
    use std::{env, fs};
    use uuid::Uuid;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn loaded(text: &str) -> Result<Vec<Hook>, String> {
        let options = of_file(text).map_err(|fault| fault.to_string())?.options;
        options.hooks.value.load(options.hooks_public_only).map_err(|faults| faults.join("\n"))
    }

    #[test]
    fn a_hook_that_is_none_says_what_would_be_right_and_shows_no_secret() {
        let url = "url = \"https://a.example/\"";
        let right = format!("name = \"a\"\n{url}\nsecret = \"{SECRET}\"");
        for (hook, expected) in [
            (String::new(), "hook 1: name is missing"),
            (right.replace("\"a\"", "\"A b\""), "name = \"A b\": a name has"),
            ("name = \"a\"".to_owned(), "url is missing"),
            (right.replace("https://", "ftp://"), "url: a URL begins with"),
            (right.replace("https://", "https://me:canary@"), "before the @"),
            (right.replace("a.example", "169.254.169.254"), "a link-local address"),
            (right.replace("a.example", "[::ffff:169.254.169.254]"), "a link-local address"),
            (format!("name = \"a\"\n{url}"), "secret is missing"),
            (right.replace("whsec_", "canary"), "secret: a secret begins with whsec_"),
            (right.replace(SECRET, "whsec_canary"), "secret: "),
            (right.replace(SECRET, "whsec_AAAA"), "has 24 to 64 bytes, and this one has 3"),
            (format!("{right}\nsecrets = [\"{SECRET}\"]"), "a hook has one of"),
            (format!("{right}\nevents = []"), "events = []"),
            (format!("{right}\nevents = [\"client.gone\"]"), "there is no such event; there are server.started"),
            (format!("{right}\ntopics = [\"a..b\"]"), "topics has \"a..b\""),
            (format!("{right}\nqueue = 0"), "queue = 0"),
            (format!("{right}\ntimeout = \"0s\""), "longer than nothing"),
            (format!("{right}\ntimeuot = \"1s\""), "timeuot: there is no such key"),
            (format!("{right}\nca_file = \"/nowhere.pem\""), "/nowhere.pem: cannot be read"),
            (right.replace(&format!("secret = \"{SECRET}"), "secret_file = \"/nowhere"), "/nowhere: cannot be read"),
        ] {
            let told = loaded(&format!("[[hooks]]\n{hook}")).unwrap_err();
            assert!(told.contains("hook 1: ") && told.contains(expected), "{hook}: {told}");
            assert!(!told.contains("canary") && !told.contains("MfKQ"), "{told}");
        }
        let twice = loaded(&format!("[[hooks]]\n{right}\n[[hooks]]\n{right}")).unwrap_err();
        assert_eq!(twice, ", hook 2: name = \"a\": another hook has this name");
        let local = right.replace("a.example", "[::ffff:127.0.0.1]");
        assert!(loaded(&format!("[[hooks]]\n{local}")).is_ok());
        let told = loaded(&format!("hooks_public_only = true\n[[hooks]]\n{local}")).unwrap_err();
        assert!(told.contains("no address of the public internet"), "{told}");
    }

    #[test]
    fn a_hook_has_its_secrets_from_the_file_or_from_another_file() {
        let path = env::temp_dir().join(format!("hubcast-{}.secret", Uuid::new_v4()));
        fs::write(&path, format!("{SECRET}\n{SECRET}\n")).unwrap();
        let text = format!(
            "[[hooks]]\nname = \"a\"\nurl = \"http://a.example/\"\nsecret_file = {path:?}\nqueue = 5\n\
             events = [\"topic.vacant\"]\ntopics = [\"orders.>\"]\n\
             [[hooks]]\nname = \"b\"\nurl = \"http://b.example/\"\nsecrets = [\"{SECRET}\", \"{SECRET}\"]"
        );
        let hooks = loaded(&text).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(hooks.iter().map(|hook| hook.secrets.len()).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(hooks[0].events, Some(vec![EventKind::TopicVacant]));
        assert_eq!((hooks[0].limits.events, hooks[1].limits), (5, HookLimits::default()));
    }
}
