//! The application's prefix in front of channel names and patterns.

use crate::connection::SubscriptionKind;

/// What stands in front of every channel of a service, and nothing when no prefix is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelPrefix {
    plain: String,
    /// `plain` as a pattern that matches only itself.
    escaped: String,
}

impl ChannelPrefix {
    /// `shop` and `shop:` both give `shop:orders` for the channel `orders`; an empty prefix gives `orders`.
    pub fn new(prefix: &str) -> Self {
        if prefix.is_empty() {
            return Self::default();
        }
        let plain = if prefix.ends_with(':') { prefix.to_owned() } else { format!("{prefix}:") };
        let mut escaped = String::with_capacity(plain.len());
        for letter in plain.chars() {
            if matches!(letter, '*' | '?' | '[' | ']' | '^' | '-' | '\\') {
                escaped.push('\\');
            }
            escaped.push(letter);
        }
        Self { plain, escaped }
    }

    /// The name as the server knows it.
    pub fn add(&self, kind: SubscriptionKind, name: &str) -> String {
        match kind {
            SubscriptionKind::Channel | SubscriptionKind::Shard => format!("{}{name}", self.plain),
            SubscriptionKind::Pattern => format!("{}{name}", self.escaped),
        }
    }

    /// The name as the application knows it. A name without the prefix is given back whole.
    pub fn strip<'a>(&self, kind: SubscriptionKind, name: &'a str) -> &'a str {
        let prefix = match kind {
            SubscriptionKind::Channel | SubscriptionKind::Shard => &self.plain,
            SubscriptionKind::Pattern => &self.escaped,
        };
        name.strip_prefix(prefix.as_str()).unwrap_or(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_joined_by_one_colon() {
        for prefix in ["shop", "shop:"] {
            let prefix = ChannelPrefix::new(prefix);
            assert_eq!(prefix.add(SubscriptionKind::Channel, "orders"), "shop:orders");
            assert_eq!(prefix.strip(SubscriptionKind::Channel, "shop:orders"), "orders");
        }
        let none = ChannelPrefix::new("");
        assert_eq!(none.add(SubscriptionKind::Channel, "orders"), "orders");
        assert_eq!(none.strip(SubscriptionKind::Channel, "orders"), "orders");
    }

    #[test]
    fn a_prefix_in_a_pattern_matches_only_itself() {
        let prefix = ChannelPrefix::new("a*b[c]");
        let pattern = prefix.add(SubscriptionKind::Pattern, "user:*");
        assert_eq!(pattern, "a\\*b\\[c\\]:user:*");
        assert_eq!(prefix.strip(SubscriptionKind::Pattern, &pattern), "user:*");
    }
}
