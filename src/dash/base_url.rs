//! The `BaseURL` of an MPD — ISO/IEC 23009-1 §5.6: what every reference in it is relative to.

use super::layout;
use super::mpd::{Mpd, children};
use crate::base::Result;
use crate::xml::Element;

const NAME: &str = "BaseURL";
/// What stands before it in an MPD: annex B, MPDtype.
const BEFORE: &[&str] = &["ProgramInformation"];

impl Mpd {
    /// Puts a `BaseURL` before those that there are.
    pub fn add_base_url(&mut self, url: &str) {
        let root = self.document.root_mut();
        let name = match root.prefix() {
            "" => NAME.to_owned(),
            prefix => format!("{prefix}:{NAME}"),
        };
        let position = layout::position_after(root, BEFORE);
        layout::insert(root, position, vec![Element::new(&name).with_text(url)]);
    }

    /// Each `BaseURL` of the whole MPD.
    ///
    /// # Errors
    /// When a text is not well formed.
    pub fn base_urls(&self) -> Result<Vec<String>> {
        children(self.root(), NAME).map(|url| Ok(url.text()?.trim().to_owned())).collect()
    }

    /// Puts `reference` in the place of a `BaseURL` of the whole MPD; none where it is empty.
    pub fn replace_base_url(&mut self, url: &str, reference: &str) {
        let prefix = self.root().prefix().to_owned();
        let is_it = |element: &Element| {
            element.local_name() == NAME
                && element.prefix() == prefix
                && element.text().is_ok_and(|text| text.trim() == url)
        };
        let root = self.document.root_mut();
        if reference.is_empty() {
            layout::remove(root, is_it);
        } else if let Some(element) = root.elements_mut().find(|element| is_it(element)) {
            *element = element.emptied().with_text(reference);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MPD: &str =
        "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\">\n  <ProgramInformation/>\n  <Period/>\n</MPD>";

    #[test]
    fn a_base_url_stands_where_the_schema_has_it_and_leaves_nothing_behind() {
        for text in [MPD.to_owned(), MPD.replace(['\n', ' '], "").replace("MPDx", "MPD x")] {
            let mut mpd = Mpd::parse(text.as_bytes()).unwrap();
            mpd.add_base_url("https://h/a&b/");
            let with = String::from_utf8(mpd.to_bytes()).unwrap();
            let element = "<BaseURL>https://h/a&amp;b/</BaseURL>";
            assert!(with.contains(element) && with.find(element) < with.find("<Period"), "{with}");
            assert!(with.find(element) > with.find("<ProgramInformation"), "{with}");
            assert_eq!(mpd.base_urls().unwrap(), ["https://h/a&b/"]);
            let mut other = mpd.clone();
            other.replace_base_url("https://h/a&b/", "../");
            assert_eq!(other.base_urls().unwrap(), ["../"]);
            mpd.replace_base_url("https://h/a&b/", "");
            assert_eq!(String::from_utf8(mpd.to_bytes()).unwrap(), text);
        }
    }
}
