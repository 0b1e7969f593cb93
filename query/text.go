package query

import "regexp"

// text writes the full-text condition: every term begins a word of some searchable field, without regard to case.
func (c *compiler) textCondition(table *schema, terms []string, row string) {
	for i, term := range terms {
		if i > 0 {
			c.write(" and ")
		}
		c.write("(")
		for j, field := range table.noun.Searchable() {
			if j > 0 {
				c.write(" or ")
			}
			c.term(row+"."+quoteName(field), term)
		}
		if len(table.noun.Searchable()) == 0 {
			c.write("false")
		}
		c.write(")")
	}
}

// relevance writes how often a term was found: the number of pairs of a term and a field it matches.
func (c *compiler) relevance(table *schema, terms []string, row string) {
	c.write("(0")
	for _, term := range terms {
		for _, field := range table.noun.Searchable() {
			c.write(" + coalesce(cast(")
			c.term(row+"."+quoteName(field), term)
			c.write(" as integer), 0)")
		}
	}
	c.write(")")
}

// term writes whether a lower-cased term begins a word. The cheap searches go first.
func (c *compiler) term(column, term string) {
	c.write("(starts_with(lower(", column, "), ")
	c.bind(term)
	c.write(") or contains(lower(", column, "), ")
	c.bind(term)
	c.write(") and regexp_matches(lower(", column, "), ")
	c.bind(`[^\pL\pN]` + regexp.QuoteMeta(term))
	c.write("))")
}
