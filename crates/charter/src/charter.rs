//! What a centre file says beyond a founding: things with a date, and figures that are not money.
use madang_model::{Founding, IslandId, PartyId, Time};

/// All that a centre file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charter {
    /// What a centre starts from: what is in force on the day of founding.
    pub founding: Founding,
    /// Every dated share in the company, past and to come, by day and then by party.
    pub company_shares: Vec<CompanyShare>,
    /// Islands that stand from a later day; a founding takes them as standing.
    pub deliveries: Vec<Delivery>,
    /// Figures of the plan for people to read.
    pub facts: Vec<Fact>,
    /// Why the policy is what it is, where the file sets one.
    pub policy: Option<Decision>,
}

/// Why something was decided, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Why.
    pub reason: String,
    /// Who approved it.
    pub approver: String,
}

/// A party's share in the company from a day on, until its next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompanyShare {
    /// Whose.
    pub party: PartyId,
    /// From when.
    pub from: Time,
    /// In basis points; all that are in force on a day sum to 10,000.
    pub share: u32,
    /// Why it changed.
    pub reason: String,
    /// Who approved it.
    pub approver: String,
    /// Where this is known from.
    pub source: String,
}

/// When an island's nodes arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Which island.
    pub island: IslandId,
    /// From when its nodes stand.
    pub from: Time,
}

/// A figure of the plan that is not money, with its qualification in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What of, in English.
    pub title: String,
    /// What of, in Korean.
    pub title_ko: String,
    /// The figure with its unit and, for capacity, its precision.
    pub figure: String,
    /// From when.
    pub from: Time,
    /// Where the figure comes from.
    pub source: String,
}
