package query

import (
	"strings"

	"headless.ly/catalog/noun"
	"headless.ly/lakehouse"
)

// Pattern chooses events by what happened to what (interfaces.md 3.6): a comma separated list, one of which has to match.
// The zero value matches nothing. It is immutable.
type Pattern struct{ parts []patternPart }

// patternPart is one of the list, its texts in lower case.
type patternPart struct {
	negated bool
	word    string // Deal, *, an id, or the type of analytics events: with neither verb nor target
	target  string // an entity's id; case counts
	verb    string // past tense or imperative; * is any
	nouns   *noun.Registry
}

// ParsePattern reads a pattern list. Every text is a pattern; one that means nothing matches nothing.
func ParsePattern(nouns *noun.Registry, text string) Pattern {
	var p Pattern
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			p.parts = append(p.parts, parsePart(nouns, part))
		}
	}
	return p
}

func parsePart(nouns *noun.Registry, text string) patternPart {
	p := patternPart{nouns: nouns}
	p.negated = strings.HasPrefix(text, "!")
	text = strings.TrimPrefix(text, "!")
	words := strings.Split(text, ".")
	switch {
	case len(words) == 1 && noun.IsID(text):
		p.target, p.word, p.verb = text, "*", "*"
	case len(words) == 1:
		p.word = strings.ToLower(text)
	case len(words) == 2:
		p.word, p.verb = strings.ToLower(words[0]), strings.ToLower(words[1])
		if p.verb == "**" {
			p.verb = "*"
		}
	default:
		p.word, p.target, p.verb = strings.ToLower(words[0]), words[1], strings.ToLower(words[2])
		if len(words) > 3 || !noun.IsID(p.target) {
			p.word, p.verb = "", "-" // nothing has such a name
		}
	}
	return p
}

// Match says whether an event is chosen.
func (p Pattern) Match(e *lakehouse.Event) bool {
	for _, part := range p.parts {
		if part.match(e) != part.negated {
			return true
		}
	}
	return false
}

func (p patternPart) match(e *lakehouse.Event) bool {
	if p.target != "" && p.target != e.Target {
		return false
	}
	if p.verb == "" {
		return p.matchWord(e)
	}
	if p.word != "*" && !p.names(e.Entity) {
		return false
	}
	return p.verb == "*" || p.verb == strings.ToLower(e.Verb) || p.verb == strings.ToLower(pastTense(e))
}

// matchWord matches a word alone: everything, a noun's events, or analytics events of that type.
func (p patternPart) matchWord(e *lakehouse.Event) bool {
	if p.word == "*" || p.word == "**" || p.names(e.Entity) {
		return true
	}
	if _, isNoun := p.nouns.Resolve(p.word); isNoun {
		return false
	}
	return e.Kind == lakehouse.KindAnalytics && strings.EqualFold(p.word, e.Type)
}

// names says whether the word is a name of the noun.
func (p patternPart) names(entity string) bool {
	n, ok := p.nouns.Resolve(p.word)
	return ok && n.Name == entity
}

// pastTense is the verb part of an event's name: an analytics event is the creation of an Event.
func pastTense(e *lakehouse.Event) string {
	if e.Kind == lakehouse.KindAnalytics {
		return "Created"
	}
	_, past, _ := strings.Cut(e.Type, ".")
	return past
}

// noun gives the one noun that every event the pattern chooses belongs to, if it can be told.
func (p Pattern) noun() string {
	if len(p.parts) != 1 || p.parts[0].negated {
		return ""
	}
	part := p.parts[0]
	if n, ok := part.nouns.Resolve(part.word); ok {
		return n.Name
	}
	if part.target == "" {
		return ""
	}
	prefix, _, _ := strings.Cut(part.target, "_")
	if n, ok := part.nouns.ByPrefix(prefix); ok {
		return n.Name
	}
	return ""
}
