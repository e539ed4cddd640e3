//! A page of Markdown, as far as the tests look at it.

use std::collections::BTreeMap;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A page.
pub struct Page {
    /// Its file, from the repository's root.
    pub path: String,
    /// Its blocks of code.
    pub blocks: Vec<Block>,
    /// Its tables.
    pub tables: Vec<Table>,
    /// Where its links lead, as they stand there; pictures, too.
    pub links: Vec<(usize, String)>,
    /// The code within its text.
    pub codes: Vec<(usize, String)>,
    /// What `#…` may follow its name in a link.
    pub anchors: Vec<String>,
}

/// A block of code.
pub struct Block {
    /// The page, and the line that the block begins at: `docs/rules.md:12`.
    pub place: String,
    /// What its fence says that it is; `None` if it has no fence.
    pub kind: Option<String>,
    /// What is in it.
    pub text: String,
}

/// A table.
pub struct Table {
    /// The anchor of the heading that it stands under.
    pub under: String,
    /// The names of its columns.
    pub head: Vec<String>,
    /// Its rows, of cells in which code stands in backticks.
    pub rows: Vec<Vec<String>>,
}

impl Page {
    /// Reads the text of the file at `path`.
    pub fn read(path: &str, text: &str) -> Self {
        let mut reader = Reader {
            page: Self {
                path: path.to_owned(),
                blocks: Vec::new(),
                tables: Vec::new(),
                links: Vec::new(),
                codes: Vec::new(),
                anchors: Vec::new(),
            },
            heading: None,
            in_block: false,
            row: Vec::new(),
            repeated: BTreeMap::new(),
        };
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            let line = text[..range.start].lines().count().max(1) + usize::from(text[..range.start].ends_with('\n'));
            reader.take(event, line);
        }
        reader.page
    }

    /// The tables under a heading.
    pub fn tables_under(&self, anchor: &str) -> Vec<&Table> {
        let tables: Vec<&Table> = self.tables.iter().filter(|table| table.under == anchor).collect();
        assert!(!tables.is_empty(), "{} has no table under #{anchor}", self.path);
        tables
    }

    /// The one table under a heading, which has these columns.
    pub fn table(&self, anchor: &str, columns: &[&str]) -> &Table {
        let [table] = self.tables_under(anchor)[..] else { panic!("{}: one table under #{anchor}", self.path) };
        assert_eq!(table.head, columns, "{}#{anchor}", self.path);
        table
    }
}

/// The pieces of code in a cell of a table.
pub fn code(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Reads a page, event by event.
struct Reader {
    page: Page,
    /// The heading that is being read.
    heading: Option<String>,
    in_block: bool,
    row: Vec<String>,
    repeated: BTreeMap<String, usize>,
}

impl Reader {
    fn take(&mut self, event: Event<'_>, line: usize) {
        match event {
            Event::Start(tag) => self.begin(tag, line),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.in_block => {
                let block = self.page.blocks.last_mut().expect("a block has begun");
                block.text.push_str(&text);
            }
            Event::Text(text) => self.text(&text),
            Event::Code(code) => {
                self.page.codes.push((line, code.to_string()));
                match &mut self.heading {
                    Some(heading) => heading.push_str(&code),
                    None => self.text(&format!("`{code}`")),
                }
            }
            Event::SoftBreak | Event::HardBreak => self.text(" "),
            _ => {}
        }
    }

    fn begin(&mut self, tag: Tag<'_>, line: usize) {
        match tag {
            Tag::Heading { .. } => self.heading = Some(String::new()),
            Tag::CodeBlock(kind) => {
                let kind = match kind {
                    CodeBlockKind::Fenced(info) => Some(info.to_string()),
                    CodeBlockKind::Indented => None,
                };
                let place = format!("{}:{line}", self.page.path);
                self.page.blocks.push(Block { place, kind, text: String::new() });
                self.in_block = true;
            }
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.page.links.push((line, dest_url.to_string()));
            }
            Tag::Table(_) => {
                let under = self.page.anchors.last().cloned().unwrap_or_default();
                self.page.tables.push(Table { under, head: Vec::new(), rows: Vec::new() });
            }
            Tag::TableHead | Tag::TableRow => self.row = Vec::new(),
            Tag::TableCell => self.row.push(String::new()),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        let row = match tag {
            TagEnd::TableHead | TagEnd::TableRow => std::mem::take(&mut self.row),
            _ => Vec::new(),
        };
        match tag {
            TagEnd::Heading(_) => {
                let heading = self.heading.take().unwrap_or_default();
                self.anchor(&heading);
            }
            TagEnd::CodeBlock => self.in_block = false,
            TagEnd::TableHead => self.page.tables.last_mut().expect("a table has begun").head = row,
            TagEnd::TableRow => self.page.tables.last_mut().expect("a table has begun").rows.push(row),
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        if let Some(heading) = &mut self.heading {
            heading.push_str(text);
        } else if let Some(cell) = self.row.last_mut() {
            cell.push_str(text);
        }
    }

    /// As GitHub makes anchors of headings.
    fn anchor(&mut self, heading: &str) {
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let slug: String = heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-");
        let count = self.repeated.entry(slug.clone()).or_insert(0);
        self.page.anchors.push(if *count == 0 { slug } else { format!("{slug}-{count}") });
        *count += 1;
    }
}

#[test]
fn a_page_is_read_with_its_blocks_tables_links_and_anchors() {
    let text = "# What `x` does…\n\n[to](a.md#b) ![p](p.png)\n\n## A, b\n\n| a | b |\n| --- | --- |\n| `1` \\| 2 | **x** y |\n\n\
                ```json config\n{}\n```\n\n## A, b\n\n    indented\n";
    let page = Page::read("x.md", text);
    assert_eq!(page.anchors, ["what-x-does", "a-b", "a-b-1"]);
    assert_eq!(page.links, [(3, "a.md#b".to_owned()), (3, "p.png".to_owned())]);
    let table = page.table("a-b", &["a", "b"]);
    assert_eq!(table.rows, [["`1` | 2", "x y"]]);
    let blocks: Vec<_> =
        page.blocks.iter().map(|block| (block.place.as_str(), block.kind.as_deref(), block.text.as_str())).collect();
    assert_eq!(blocks, [("x.md:11", Some("json config"), "{}\n"), ("x.md:17", None, "indented\n")]);
}
