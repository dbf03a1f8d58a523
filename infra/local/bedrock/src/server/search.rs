//! What was ingested, ready to be found: BM25 over passages, one index for each knowledge base.
//!
//! Bedrock compares embeddings; this compares words. What the two share is what callers must cope with: only ingested
//! passages are found, the best first, with scores that follow no fixed scale.

use std::collections::BTreeMap;

use tantivy::collector::TopDocs;
use tantivy::query::{BooleanQuery, Occur, Query, TermQuery};
use tantivy::schema::{Field, IndexRecordOption, STORED, STRING, Schema, TEXT, Value};
use tantivy::tokenizer::TokenStream;
use tantivy::{Index, IndexReader, ReloadPolicy, TantivyDocument, Term};

/// The least memory that a writer may have.
const WRITER_BYTES: usize = 15_000_000;

/// A passage found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) text: String,
    pub(super) uri: String,
    pub(super) data_source: String,
    pub(super) score: f32,
}

/// A change to a knowledge base's index.
pub(super) struct Change {
    pub(super) knowledge_base: String,
    pub(super) data_source: String,
    pub(super) uri: String,
    /// None if the document goes.
    pub(super) passages: Vec<String>,
}

/// The indexes of all knowledge bases.
#[derive(Default)]
pub(super) struct Indexes {
    by_knowledge_base: BTreeMap<String, Passages>,
}

impl Indexes {
    /// Makes the changes, and makes them visible.
    pub(super) fn apply(&mut self, changes: Vec<Change>) -> tantivy::Result<()> {
        let mut by_knowledge_base: BTreeMap<String, Vec<Change>> = BTreeMap::new();
        for change in changes {
            by_knowledge_base.entry(change.knowledge_base.clone()).or_default().push(change);
        }
        for (knowledge_base, changes) in by_knowledge_base {
            match self.by_knowledge_base.entry(knowledge_base) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut().apply(&changes)?,
                std::collections::btree_map::Entry::Vacant(entry) => entry.insert(Passages::new()?).apply(&changes)?,
            }
        }
        Ok(())
    }

    /// The best passages for a query, the best first.
    pub(super) fn search(&self, knowledge_base: &str, query: &str, most: usize) -> tantivy::Result<Vec<Found>> {
        match self.by_knowledge_base.get(knowledge_base) {
            Some(passages) => passages.search(query, most),
            None => Ok(Vec::new()),
        }
    }
}

struct Passages {
    index: Index,
    reader: IndexReader,
    document: Field,
    data_source: Field,
    uri: Field,
    text: Field,
}

impl Passages {
    fn new() -> tantivy::Result<Self> {
        let mut schema = Schema::builder();
        let document = schema.add_text_field("document", STRING);
        let data_source = schema.add_text_field("data_source", STORED);
        let uri = schema.add_text_field("uri", STORED);
        let text = schema.add_text_field("text", TEXT | STORED);
        let index = Index::create_in_ram(schema.build());
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        Ok(Self { index, reader, document, data_source, uri, text })
    }

    fn apply(&self, changes: &[Change]) -> tantivy::Result<()> {
        // A writer for each batch: it holds threads, and there may be many knowledge bases.
        let mut writer = self.index.writer_with_num_threads::<TantivyDocument>(1, WRITER_BYTES)?;
        for change in changes {
            // The same object may be in several data sources, so both make the document's identity.
            let identity = format!("{} {}", change.data_source, change.uri);
            writer.delete_term(Term::from_field_text(self.document, &identity));
            for passage in &change.passages {
                let mut entry = TantivyDocument::new();
                entry.add_text(self.document, &identity);
                entry.add_text(self.data_source, &change.data_source);
                entry.add_text(self.uri, &change.uri);
                entry.add_text(self.text, passage);
                writer.add_document(entry)?;
            }
        }
        writer.commit()?;
        writer.wait_merging_threads()?;
        self.reader.reload()
    }

    fn search(&self, query: &str, most: usize) -> tantivy::Result<Vec<Found>> {
        let searcher = self.reader.searcher();
        let mut analyzer = self.index.tokenizer_for_field(self.text)?;
        let mut words = Vec::new();
        analyzer.token_stream(query).process(&mut |token| words.push(token.text.clone()));
        let any_word = words
            .into_iter()
            .map(|word| {
                let term = Term::from_field_text(self.text, &word);
                let query = TermQuery::new(term, IndexRecordOption::WithFreqs);
                (Occur::Should, Box::new(query) as Box<dyn Query>)
            })
            .collect();
        let best = searcher.search(&BooleanQuery::new(any_word), &TopDocs::with_limit(most).order_by_score())?;
        best.into_iter()
            .map(|(score, address)| {
                let entry: TantivyDocument = searcher.doc(address)?;
                let stored = |field| entry.get_first(field).and_then(|value| value.as_str()).unwrap_or_default();
                Ok(Found {
                    text: stored(self.text).to_owned(),
                    uri: stored(self.uri).to_owned(),
                    data_source: stored(self.data_source).to_owned(),
                    score,
                })
            })
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn put(knowledge_base: &str, uri: &str, text: &str) -> Change {
        Change {
            knowledge_base: knowledge_base.to_owned(),
            data_source: "DS".to_owned(),
            uri: uri.to_owned(),
            passages: vec![text.to_owned()],
        }
    }

    #[test]
    fn the_passage_that_says_more_of_the_query_comes_first() {
        let mut indexes = Indexes::default();
        indexes.apply(vec![put("A", "1", "A pump needs oil"), put("A", "2", "A fire pump needs a relief valve")]).unwrap();
        let found = indexes.search("A", "which valve does the fire pump need?", 5).unwrap();
        assert_eq!(found.iter().map(|it| it.uri.as_str()).collect::<Vec<_>>(), ["2", "1"]);
        assert!(found[0].score > found[1].score);
        assert_eq!(indexes.search("A", "pump", 1).unwrap().len(), 1);
    }

    #[test]
    fn a_knowledge_base_finds_only_its_own() {
        let mut indexes = Indexes::default();
        indexes.apply(vec![put("A", "1", "pump"), put("B", "2", "valve")]).unwrap();
        assert!(indexes.search("A", "valve", 5).unwrap().is_empty());
        assert!(indexes.search("C", "valve", 5).unwrap().is_empty());
    }

    #[test]
    fn a_new_version_replaces_the_old_and_a_removed_document_is_gone() {
        let mut indexes = Indexes::default();
        indexes.apply(vec![put("A", "1", "old words")]).unwrap();
        indexes.apply(vec![put("A", "1", "new words")]).unwrap();
        assert!(indexes.search("A", "old", 5).unwrap().is_empty());
        assert_eq!(indexes.search("A", "words", 5).unwrap().len(), 1);
        indexes.apply(vec![Change { passages: Vec::new(), ..put("A", "1", "") }]).unwrap();
        assert!(indexes.search("A", "words", 5).unwrap().is_empty());
    }

    #[test]
    fn a_query_is_words_and_never_syntax() {
        let mut indexes = Indexes::default();
        indexes.apply(vec![put("A", "1", "pump")]).unwrap();
        assert_eq!(indexes.search("A", "-pump AND (text:[ \"", 5).unwrap().len(), 1);
        assert!(indexes.search("A", "?!", 5).unwrap().is_empty());
    }
}
