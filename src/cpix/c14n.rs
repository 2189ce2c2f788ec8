//! Canonical XML without comments — W3C Canonical XML 1.0 and 1.1, inclusive.

use quick_xml::escape::unescape;

use crate::base::{Error, Result};
use crate::xml::{Element, Node};

const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// Prefixes in scope with their namespace names; the empty prefix is the default namespace.
type Scope = Vec<(String, String)>;

/// Where canonicalization begins and what it leaves out.
pub(super) struct Canonical<'a> {
    /// Ancestors of the apex, the root first.
    pub ancestors: Vec<&'a Element>,
    /// The apex of the subset.
    pub apex: &'a Element,
    /// An element that is left out: the signature that is checked (enveloped-signature transform).
    pub without: Option<&'a Element>,
    /// Whether `xml:id` of ancestors is inherited: it is in version 1.0 only.
    pub inherits_id: bool,
}

impl Canonical<'_> {
    /// The octets.
    ///
    /// # Errors
    /// When a prefix is not declared.
    pub(super) fn write(&self) -> Result<String> {
        let mut scope = Scope::new();
        let mut inherited: Vec<(String, String)> = Vec::new();
        for ancestor in &self.ancestors {
            declare(&mut scope, ancestor)?;
            for (name, value) in normalized(ancestor)? {
                if name.starts_with("xml:") && (self.inherits_id || name != "xml:id") {
                    inherited.retain(|(found, _)| *found != name);
                    inherited.push((name, value));
                }
            }
        }
        let mut out = String::new();
        self.element(self.apex, &scope, &Scope::new(), &inherited, &mut out)?;
        Ok(out)
    }

    fn element(
        &self,
        element: &Element,
        scope: &Scope,
        rendered: &Scope,
        inherited: &[(String, String)],
        out: &mut String,
    ) -> Result<()> {
        let mut scope = scope.clone();
        declare(&mut scope, element)?;
        out.push('<');
        out.push_str(element.name());
        namespaces(&scope, rendered, out);
        attributes(element, &scope, inherited, out)?;
        out.push('>');
        for node in &element.children {
            match node {
                Node::Element(child)
                    if self.without.is_some_and(|left_out| std::ptr::eq(left_out, child)) => {}
                Node::Element(child) => self.element(child, &scope, &scope, &[], out)?,
                Node::Raw(raw) => text(raw, out)?,
            }
        }
        out.push_str("</");
        out.push_str(element.name());
        out.push('>');
        Ok(())
    }
}

/// Attributes with the values of XML 1.0 §3.3.3: white space as it is written becomes spaces.
fn normalized(element: &Element) -> Result<Vec<(String, String)>> {
    let raw = element.raw_attributes()?;
    raw.into_iter()
        .map(|(name, value)| {
            let spaced = value.replace("\r\n", " ").replace(['\r', '\n', '\t'], " ");
            let value = unescape(&spaced).map_err(|error| Error::input(error.to_string()))?;
            Ok((name.to_owned(), value.into_owned()))
        })
        .collect()
}

fn declare(scope: &mut Scope, element: &Element) -> Result<()> {
    for (name, value) in normalized(element)? {
        let prefix = match name.strip_prefix("xmlns:") {
            Some(prefix) => prefix,
            None if name == "xmlns" => "",
            None => continue,
        };
        scope.retain(|(found, _)| found != prefix);
        scope.push((prefix.to_owned(), value));
    }
    Ok(())
}

/// Declarations that the output does not have yet, by prefix; the default namespace comes first.
fn namespaces(scope: &Scope, rendered: &Scope, out: &mut String) {
    let mut new: Vec<_> = scope
        .iter()
        .filter(|(prefix, uri)| {
            let before = rendered.iter().find(|(found, _)| found == prefix);
            let is_xml = prefix == "xml" && uri == XML;
            // An empty default namespace is rendered only where it undoes another.
            let says_nothing =
                prefix.is_empty() && uri.is_empty() && before.is_none_or(|(_, u)| u.is_empty());
            !is_xml && !says_nothing && before.is_none_or(|(_, former)| former != uri)
        })
        .collect();
    new.sort();
    for (prefix, uri) in new {
        out.push_str(if prefix.is_empty() { " xmlns" } else { " xmlns:" });
        out.push_str(prefix);
        value(uri, out);
    }
}

/// Attributes by namespace name, then local name; those without a namespace come first.
fn attributes(
    element: &Element,
    scope: &Scope,
    inherited: &[(String, String)],
    out: &mut String,
) -> Result<()> {
    let mut own = normalized(element)?;
    own.retain(|(name, _)| name != "xmlns" && !name.starts_with("xmlns:"));
    for (name, text) in inherited {
        if !own.iter().any(|(found, _)| found == name) {
            own.push((name.clone(), text.clone()));
        }
    }
    let mut keyed = Vec::new();
    for (name, text) in own {
        let (uri, local) = match name.split_once(':') {
            None => (String::new(), name.clone()),
            Some(("xml", local)) => (XML.to_owned(), local.to_owned()),
            Some((prefix, local)) => {
                let uri = scope.iter().find(|(found, _)| found == prefix).map(|(_, uri)| uri.clone());
                let uri = uri.ok_or_else(|| {
                    Error::input(format!("prefix {prefix:?} is not declared"))
                        .clause("Namespaces in XML 1.0 §5")
                })?;
                (uri, local.to_owned())
            }
        };
        keyed.push((uri, local, name, text));
    }
    keyed.sort();
    for (_, _, name, text) in keyed {
        out.push(' ');
        out.push_str(&name);
        value(&text, out);
    }
    Ok(())
}

fn value(text: &str, out: &mut String) {
    out.push_str("=\"");
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#x9;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Text and CDATA become text, comments nothing, processing instructions stay.
fn text(raw: &str, out: &mut String) -> Result<()> {
    if raw.starts_with("<!--") {
        return Ok(());
    }
    // Ends of lines are one line feed: XML 1.0 §2.11.
    let lines = raw.replace("\r\n", "\n").replace('\r', "\n");
    if let Some(target) = lines.strip_prefix("<?").and_then(|rest| rest.strip_suffix("?>")) {
        let (target, data) = target.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((target, ""));
        let data = data.trim_start();
        let space = if data.is_empty() { "" } else { " " };
        out.push_str(&format!("<?{target}{space}{data}?>"));
        return Ok(());
    }
    let characters = match lines.strip_prefix("<![CDATA[").and_then(|rest| rest.strip_suffix("]]>")) {
        Some(data) => data.to_owned(),
        None => unescape(&lines).map_err(|error| Error::input(error.to_string()))?.into_owned(),
    };
    for c in characters.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#xD;"),
            c => out.push(c),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::Document;

    fn whole(text: &str) -> String {
        let document = Document::parse(text.as_bytes()).unwrap();
        let canonical =
            Canonical { ancestors: vec![], apex: document.root(), without: None, inherits_id: true };
        canonical.write().unwrap()
    }

    #[test]
    fn start_and_end_tags_are_those_of_the_recommendation() {
        // Canonical XML 1.0 §3.3 and §3.4, without what needs a DTD.
        let text = "<doc>\r\n   <e1   />\n   <e3   name = \"elem3\"   id=\"elem3\"   />\n   \
                    <e5 a:attr=\"out\" b:attr=\"sorted\" attr2=\"all\" attr=\"I'm\"\n      \
                    xmlns:b=\"http://www.ietf.org\"\n      xmlns:a=\"http://www.w3.org\"\n      \
                    xmlns=\"http://example.org\"/>\n   <e6 xmlns=\"\" xmlns:a=\"http://www.w3.org\">\n       \
                    <e7 xmlns=\"http://www.ietf.org\">\n           <e8 xmlns=\"\" xmlns:a=\"http://www.w3.org\">\n\
                               <e9 xmlns=\"\" xmlns:a=\"http://www.ietf.org\"/>\n           </e8>\n       </e7>\n   \
                    </e6>\n</doc>";
        let expected = "<doc>\n   <e1></e1>\n   <e3 id=\"elem3\" name=\"elem3\"></e3>\n   \
                    <e5 xmlns=\"http://example.org\" xmlns:a=\"http://www.w3.org\" \
                    xmlns:b=\"http://www.ietf.org\" attr=\"I'm\" attr2=\"all\" b:attr=\"sorted\" \
                    a:attr=\"out\"></e5>\n   <e6 xmlns:a=\"http://www.w3.org\">\n       \
                    <e7 xmlns=\"http://www.ietf.org\">\n           <e8 xmlns=\"\">\n\
                               <e9 xmlns:a=\"http://www.ietf.org\"></e9>\n           </e8>\n       </e7>\n   \
                    </e6>\n</doc>";
        assert_eq!(whole(text), expected);
        assert_eq!(
            whole("<a b='\t&#9;&#13;\"&lt;>'>&#x0d;&gt;<![CDATA[<&]]><!-- c --><?p  d ?></a>"),
            "<a b=\" &#x9;&#xD;&quot;&lt;>\">&#xD;&gt;&lt;&amp;<?p d ?></a>"
        );
    }

    #[test]
    fn a_subset_inherits_namespaces_and_xml_attributes() {
        let text = "<r xmlns='u' xmlns:p='v' xml:lang='de' xml:id='i'><p:a><b/></p:a></r>";
        let document = Document::parse(text.as_bytes()).unwrap();
        let mut canonical = Canonical {
            ancestors: vec![document.root()],
            apex: document.root().child("a").unwrap(),
            without: document.root().child("a").unwrap().child("b"),
            inherits_id: true,
        };
        let start = "<p:a xmlns=\"u\" xmlns:p=\"v\"";
        assert_eq!(canonical.write().unwrap(), format!("{start} xml:id=\"i\" xml:lang=\"de\"></p:a>"));
        canonical.inherits_id = false;
        canonical.without = None;
        assert_eq!(canonical.write().unwrap(), format!("{start} xml:lang=\"de\"><b></b></p:a>"));
    }
}
