package noun

import (
	"slices"
	"strings"
)

// words splits a PascalCase name before each capital, lower-cased: FeatureFlag is feature, flag.
func words(name string) []string {
	var out []string
	start := 0
	for i := 1; i <= len(name); i++ {
		if i == len(name) || 'A' <= name[i] && name[i] <= 'Z' {
			out = append(out, strings.ToLower(name[start:i]))
			start = i
		}
	}
	return out
}

// pluralWords is words with the last one in the plural.
func pluralWords(name string) []string {
	w := words(name)
	w[len(w)-1] = plural(w[len(w)-1])
	return w
}

// plural is the plural of one lower-case word.
func plural(word string) string {
	switch word {
	case "analysis":
		return "analyses"
	case "child":
		return "children"
	case "criterion":
		return "criteria"
	case "datum":
		return "data"
	case "index":
		return "indices"
	case "man":
		return "men"
	case "medium":
		return "media"
	case "person":
		return "people"
	case "woman":
		return "women"
	}
	switch {
	case sibilant(word):
		return word + "es"
	case consonantY(word):
		return word[:len(word)-1] + "ies"
	}
	return word + "s"
}

// camel joins words in camelCase: featureFlags.
func camel(words []string) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			w = capital(w)
		}
		b.WriteString(w)
	}
	return b.String()
}

// capital makes the first letter upper-case.
func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// slugs derives the spellings of a noun. A collection other than the kebab plural is the noun's own.
func slugs(name, collection string) Slugs {
	one, many := words(name), pluralWords(name)
	s := Slugs{Type: name, Collection: strings.Join(many, "-"), Singular: strings.Join(one, "-"), RPC: camel(many)}
	if collection != "" {
		s.Collection = collection
	}
	for _, alias := range []string{strings.Join(many, ""), camel(many), strings.Join(many, "-"), s.Singular} {
		if alias != s.Collection && !slices.Contains(s.Aliases, alias) {
			s.Aliases = append(s.Aliases, alias)
		}
	}
	return s
}
