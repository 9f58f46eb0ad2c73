use super::FactBook;
use crate::knowledge::facts::Cloze;
use crate::knowledge::{Claim, Facts};
#[derive(Debug)]
pub struct ClaimReader(FactBook);
impl ClaimReader {
    pub fn new(book: FactBook) -> Self {
        Self(book)
    }
}
impl Facts for ClaimReader {
    fn read(&self, _: &str) -> Option<Claim> {
        None
    }
    fn holds(&self, claim: &Claim) -> bool {
        self.0.claims.contains(claim)
    }
    fn cloze(&self, claim: &Claim) -> Option<Cloze> {
        self.0.cloze(claim)
    }
}
impl ClaimReader {
    pub fn book(&self) -> &FactBook {
        &self.0
    }
}
