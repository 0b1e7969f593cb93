package query

import (
	"regexp"
	"strconv"
	"strings"
)

// Some functions of DuckDB make much of little in one call, which neither an interrupt nor the memory limit stops: text is
// allocated past the limit. Macros of the same names stand in front of them and bound what a call makes. A vector of 2,048
// values is made at once, so that the bound on one value is small.
const (
	maxMade     = 100_000     // characters or members that a call makes
	maxCompared = 100_000_000 // steps of comparing two texts
)

// guards are the macros. $made and $compared stand for the bounds, $check(condition, x) for x where the condition is not false.
var guards = []string{
	`repeat(s, n) as system.main.repeat(s, $check(len(s) * n <= $made, n))`,
	`lpad(s, n, p) as system.main.lpad(s, $check(n <= $made, n), p)`,
	`rpad(s, n, p) as system.main.rpad(s, $check(n <= $made, n), p)`,
	`replace(s, f, t) as system.main.replace($check(len(t) <= 1 or len(s) * len(t) <= 10 * $made, s), f, t)`,
	`list_resize(l, n) as system.main.list_resize(l, $check(n <= $made, n)), (l, n, v) as system.main.list_resize(l, $check(n <= $made, n), v)`,
	`array_resize(l, n) as system.main.list_resize(l, $check(n <= $made, n)), (l, n, v) as system.main.list_resize(l, $check(n <= $made, n), v)`,
	`array_to_string(l, s) as system.main.array_to_string($check(len(s) <= 100 or len(l) * len(s) <= 10 * $made, l), s)`,
	`bitstring(s, n) as system.main.bitstring(s, $check(n <= $made, n))`,
	`bar(x, a, b) as system.main.bar(x, a, b), (x, a, b, n) as system.main.bar(x, a, b, $check(n <= 1000, n))`,
	`levenshtein(a, b) as system.main.levenshtein($check(len(a) * len(b) <= $compared, a), b)`,
	`editdist3(a, b) as system.main.editdist3($check(len(a) * len(b) <= $compared, a), b)`,
	`damerau_levenshtein(a, b) as system.main.damerau_levenshtein($check(len(a) * len(b) <= $compared, a), b)`,
	series("range"),
	series("generate_series"),
}

// series guards one of the functions that make a list of numbers or times.
func series(name string) string {
	var forms []string
	for _, form := range [][2]string{
		{"(a)", "$check(a <= $made, a)"},
		{"(a, b)", "$check(b - a <= $made, a), b"},
		{"(a bigint, b bigint, c bigint)", "$check(abs((b - a) // c) <= $made, a), b, c"},
		{"(a timestamp, b timestamp, c interval)", "$check(abs(epoch(b - a) / epoch(c)) <= $made, a), b, c"},
		{"(a timestamptz, b timestamptz, c interval)", "$check(abs(epoch(b - a) / epoch(c)) <= $made, a), b, c"},
	} {
		forms = append(forms, form[0]+" as system.main."+name+"("+form[1]+")")
	}
	return name + strings.Join(forms, ", ")
}

var aCheck = regexp.MustCompile(`\$check\(((?:[^(),]|\((?:[^()]|\([^()]*\))*\))*), ([a-z]+)\)`)

// guardStatements are the statements that make the macros.
func guardStatements() []string {
	out := make([]string, len(guards))
	for i, g := range guards {
		name, rest, _ := strings.Cut(g, "(")
		rest = aCheck.ReplaceAllString(rest, "case when $1 is not false then $2 else error('"+name+" would make too much at once') end")
		rest = strings.ReplaceAll(rest, "$made", strconv.Itoa(maxMade))
		rest = strings.ReplaceAll(rest, "$compared", strconv.Itoa(maxCompared))
		out[i] = "create macro " + quoteName(name) + "(" + rest
	}
	return out
}

// wideFormat finds a width in a format string that is too large, or comes from an argument.
var wideFormat = regexp.MustCompile(`[0-9]{5,}|\{[^}]*\{|%[^a-zA-Z%]*\*`)

// formatting checks the first argument of format and printf: it has to be a constant without great widths.
func formatting(node map[string]any) bool {
	children, _ := node["children"].([]any)
	if len(children) == 0 {
		return true
	}
	first, _ := children[0].(map[string]any)
	value, _ := first["value"].(map[string]any)
	text, ok := value["value"].(string)
	return ok && !wideFormat.MatchString(text)
}
