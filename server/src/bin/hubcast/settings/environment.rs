//! Checks for environment variables that look like settings and name none.
//!
//! A name that is almost that of a setting is an error, because its author believes that it has an effect. Any other
//! name may have been set for another program, or by the machine, and must not prevent the server from starting.

use super::options::Options;
use super::spelling::nearest;
use anyhow::bail;
use clap::{Args, Command};
use std::ffi::OsString;

/// Checks all variables. Returns the unknown names that begin with `HUBCAST_`, except for those that Kubernetes sets.
///
/// # Errors
/// All names that are almost that of a setting, one line each.
pub(crate) fn check(variables: impl Iterator<Item = (OsString, OsString)>) -> anyhow::Result<Vec<String>> {
    let known = known();
    let (mut faults, mut unknown) = (Vec::new(), Vec::new());
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| name.to_ascii_uppercase().starts_with(PREFIX)) else { continue };
        if known.iter().any(|known| known == name)
            || OF_CLIENTS.contains(&name)
            || is_of_kubernetes(name, &value.to_string_lossy())
        {
            continue;
        }
        match meant(name, &known) {
            Some(meant) => faults.push(format!("{name}: there is no such variable; did you mean {meant}?")),
            None => unknown.push(name.to_owned()),
        }
    }
    if faults.is_empty() {
        unknown.sort();
        return Ok(unknown);
    }
    faults.sort();
    bail!(faults.join("\n       "))
}

/// The names of the variables of all settings.
fn known() -> Vec<String> {
    let command = Options::augment_args(Command::new("hubcast"));
    let variables = command.get_arguments().filter_map(|arg| arg.get_env());
    variables.map(|name| name.to_string_lossy().into_owned()).chain(["HUBCAST_CONFIG".to_owned()]).collect()
}

/// Whether Kubernetes sets this variable in every pod because a Service is named `hubcast`, or begins with `hubcast-`:
/// `HUBCAST_SERVICE_HOST`, `HUBCAST_PORT=tcp://10.0.0.1:8080`, `HUBCAST_PORT_8080_TCP_ADDR`. Docker's links set the
/// same names.
fn is_of_kubernetes(name: &str, value: &str) -> bool {
    let is_port = |rest: &str| {
        let mut parts = rest.split('_');
        parts.next().is_some_and(|port| port.parse::<u16>().is_ok())
            && parts.next().is_some_and(|protocol| ["TCP", "UDP", "SCTP"].contains(&protocol))
    };
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT") && value.contains("://")
        || name.match_indices("_PORT_").any(|(at, found)| is_port(&name[at + found.len()..]))
}

/// The variable of the setting that is probably meant.
fn meant(name: &str, known: &[String]) -> Option<String> {
    let name = name.to_ascii_uppercase();
    let settings = known.iter().filter_map(|known| known.strip_prefix(PREFIX));
    let nearest = nearest(name.trim_start_matches(PREFIX), settings)?;
    Some(format!("{PREFIX}{nearest}"))
}

const PREFIX: &str = "HUBCAST_";

/// Variables of the client commands: who uses both may have set them for the whole shell.
const OF_CLIENTS: [&str; 3] = ["HUBCAST_URL", "HUBCAST_TOKEN", "HUBCAST_API_KEY"];

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(variables: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        check(variables).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_that_is_nearly_a_setting_is_a_fault() {
        for (name, meant) in [
            ("HUBCAST_MAX_OUTBX", "HUBCAST_MAX_OUTBOX"),
            ("HUBCAST_MAXOUTBOX", "HUBCAST_MAX_OUTBOX"),
            ("HUBCAST_PINGS", "HUBCAST_PING"),
            ("HUBCAST_PNIG", "HUBCAST_PING"),
            ("HUBCAST_LOG_LVL", "HUBCAST_LOG_LEVEL"),
            ("HUBCAST_CONFG", "HUBCAST_CONFIG"),
            ("hubcast_ping", "HUBCAST_PING"),
        ] {
            let expected = format!("{name}: there is no such variable; did you mean {meant}?");
            assert_eq!(checked(&[(name, "1")]), Err(expected));
        }
        assert_eq!(checked(&[("HUBCAST_PNIG", ""), ("HUBCAST_WORKER", "")]).unwrap_err().lines().count(), 2);
    }

    #[test]
    fn settings_and_what_others_set_are_no_fault() {
        assert_eq!(
            checked(&[("HUBCAST_PING", "1s"), ("HUBCAST_CONFIG", ""), ("HUBCAST_TOKEN", "a"), ("PATH", "/bin")]),
            Ok(vec![])
        );
        let others =
            ["HUBCAST_BIN", "HUBCAST_IMAGE", "HUBCAST_PORT", "HUBCAST_SEED", "HUBCAST_SEEDS", "HUBCAST_VENDOR"];
        assert_eq!(checked(&others.map(|name| (name, "7"))), Ok(others.map(str::to_owned).to_vec()));
    }

    #[test]
    fn what_kubernetes_sets_is_not_even_named() {
        let variables = [
            ("HUBCAST_SERVICE_HOST", "10.0.0.1"),
            ("HUBCAST_SERVICE_PORT", "8080"),
            ("HUBCAST_SERVICE_PORT_HTTP", "8080"),
            ("HUBCAST_PORT", "tcp://10.0.0.1:8080"),
            ("HUBCAST_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
            ("HUBCAST_PORT_8080_TCP_PROTO", "tcp"),
            ("HUBCAST_PORT_8080_TCP_PORT", "8080"),
            ("HUBCAST_PORT_8080_TCP_ADDR", "10.0.0.1"),
            ("HUBCAST_PINGS_SERVICE_HOST", "10.0.0.1"),
            ("HUBCAST_PINGS_PORT", "tcp://10.0.0.1:8080"),
        ];
        assert_eq!(checked(&variables), Ok(vec![]));
    }
}
