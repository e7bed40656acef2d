//! Finds the setting that a misspelt name means: one rule for variables and keys.

/// The setting whose name is nearest, unless even that has more typing errors than one for each four letters.
pub(super) fn nearest<'a>(name: &str, settings: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    let most = |setting: &str| (setting.len() / 4).max(1);
    // The distance takes time by the product of both lengths, and a file may have names of megabytes.
    let comparable = settings.filter(|setting| length.abs_diff(setting.len()) <= most(setting));
    let slips = comparable.map(|setting| (strsim::osa_distance(name, setting), setting));
    let near = slips.filter(|(slips, setting)| *slips <= most(setting));
    Some(near.min_by_key(|(slips, _)| *slips)?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_of_several_near_names_is_meant() {
        let settings = ["max_header", "max_headers", "max_head"];
        assert_eq!(nearest("max_headerss", settings.into_iter()), Some("max_headers"));
        assert_eq!(nearest("max_haed", settings.into_iter()), Some("max_head"));
    }

    #[test]
    fn a_name_that_is_near_to_none_means_none() {
        for name in ["x", "rate_limit", "max_payload", ""] {
            assert_eq!(nearest(name, ["ping", "max_head", "upgrade_timeout"].into_iter()), None, "{name}");
        }
    }
}
