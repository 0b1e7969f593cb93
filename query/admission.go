package query

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"slices"
	"strings"

	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/query/duck"
	"headless.ly/query/engine"
)

// maxStatementBytes bounds a statement.
const maxStatementBytes = 256 << 10

// maxParts bounds the nodes of a statement's syntax tree: DuckDB plans without listening to interrupts.
const maxParts = 10_000

// statementKind is how an admitted statement is run.
type statementKind uint8

const (
	kindSelect statementKind = iota + 1
	kindExplain
	kindAnalyze
	kindTables // SHOW TABLES, which the door answers itself
)

// admitted is a statement that only reads, and only what its tenant has. Nothing else may be prepared: preparing alone can
// run a statement in part.
type admitted struct {
	kind   statementKind
	text   string // of a kindExplain and kindAnalyze, what is explained
	before int    // bytes of the caller's statement in front of text
	tables map[string]named
}

// tableNames lists the tables of the lake that a statement reads, sorted.
func (a admitted) tableNames() []string {
	var names []string
	for _, t := range a.tables {
		if t.noun == nil || t.noun.Name == analyticsNoun {
			names = append(names, tableEvents)
		} else {
			names = append(names, t.noun.Table())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// named is what a name in a statement stands for.
type named struct {
	noun *noun.Noun // nil: the log
	form form
}

// form says which of a noun's tables is meant.
type form uint8

const (
	formEntities form = iota // the noun's table, or the log
	formHistory              // <noun>_history
	formAt                   // <noun>_at(ts)
)

// Names of the tables beside those of the nouns (analytics.md 1).
const (
	tableEvents   = "events"
	suffixHistory = "_history"
	suffixAt      = "_at"
)

// invalidSQL builds the documented error; a position below 0 is not known.
func invalidSQL(position int, format string, args ...any) *problem.Problem {
	p := problem.New(problem.InvalidSQL, format, args...)
	if position >= 0 {
		p.Position = &position
	}
	return p
}

var (
	explainPrefix = regexp.MustCompile(`(?is)^(?:\s+|--[^\n]*\n|/\*[^*]*\*/)*explain\b((?:\s+|--[^\n]*\n|/\*[^*]*\*/)*analyze\b)?`)
	showTables    = regexp.MustCompile(`(?i)^\s*show\s+(all\s+)?tables\s*;?\s*$`)
)

// admit checks a statement. It runs DuckDB's parser only.
func (n vocabulary) admit(ctx context.Context, conn *engine.Conn, text string) (admitted, error) {
	if len(text) > maxStatementBytes {
		return admitted{}, invalidSQL(-1, "the statement is larger than %d bytes", maxStatementBytes)
	}
	if strings.TrimSpace(text) == "" || strings.ContainsRune(text, 0) {
		return admitted{}, invalidSQL(-1, "there is no statement")
	}
	if showTables.MatchString(text) {
		return admitted{kind: kindTables}, nil
	}
	a := admitted{kind: kindSelect, text: text, tables: map[string]named{}}
	if m := explainPrefix.FindStringSubmatchIndex(text); m != nil {
		a.kind, a.text, a.before = kindExplain, text[m[1]:], m[1]
		if m[2] >= 0 {
			a.kind = kindAnalyze
		}
	}
	tree, err := parse(ctx, conn, a.text)
	if err != nil {
		return admitted{}, err
	}
	w := walker{vocabulary: n, before: a.before, tables: a.tables, local: map[string]bool{}}
	if err := w.locals(tree); err != nil {
		return admitted{}, err
	}
	return a, w.check(tree)
}

// parsed is what json_serialize_sql gives.
type parsed struct {
	Error      bool   `json:"error"`
	Kind       string `json:"error_type"`
	Message    string `json:"error_message"`
	Position   string `json:"position"`
	Statements []any  `json:"statements"`
}

// parse gives the syntax tree of one statement that reads.
func parse(ctx context.Context, conn *engine.Conn, text string) (any, error) {
	rows, err := conn.Query(ctx, "select cast(json_serialize_sql(cast(? as varchar)) as varchar)", text)
	if err != nil {
		return nil, asInvalidSQL(err)
	}
	defer rows.Close()
	out, err := rows.All(ctx)
	if err != nil {
		return nil, asInvalidSQL(err)
	}
	var p parsed
	serialized, _ := out[0][0].(string)
	if err := json.Unmarshal([]byte(serialized), &p); err != nil {
		return nil, invalidSQL(-1, "the statement cannot be read")
	}
	switch {
	case p.Error && p.Kind == "not implemented":
		return nil, invalidSQL(-1, "only statements that read are allowed: SELECT, FROM, VALUES, DESCRIBE, SHOW TABLES, SUMMARIZE, "+
			"EXPLAIN, PIVOT with its IN list")
	case p.Error:
		position := -1
		_ = json.Unmarshal([]byte(p.Position), &position) // none is no number
		return nil, invalidSQL(position, "%s", p.Message)
	case len(p.Statements) != 1:
		return nil, invalidSQL(-1, "send one statement, not %d", len(p.Statements))
	}
	return p.Statements[0], nil
}

// asInvalidSQL makes a refusal of what DuckDB's parser says by failing.
func asInvalidSQL(err error) error {
	failure, ok := errors.AsType[*duck.Error](err)
	if !ok || failure.Kind == duck.Fatal || failure.Kind == duck.Internal {
		return err
	}
	p := invalidSQL(failure.Position, "%s", failure.Message)
	p.Cause = err
	return p
}

// vocabulary knows the tables of a tenant.
type vocabulary struct{ nouns *noun.Registry }

// table finds what a name stands for; call says that it is written as a function.
func (n vocabulary) table(name string, call bool) (named, bool) {
	name = strings.ToLower(name)
	if call {
		stem, ok := strings.CutSuffix(name, suffixAt)
		found, known := n.nouns.Resolve(stem)
		return named{found, formAt}, ok && known
	}
	if name == tableEvents {
		return named{}, true
	}
	if found, ok := n.nouns.Resolve(name); ok {
		return named{found, formEntities}, true
	}
	stem, ok := strings.CutSuffix(name, suffixHistory)
	found, known := n.nouns.Resolve(stem)
	return named{found, formHistory}, ok && known
}

// walker checks a syntax tree.
type walker struct {
	vocabulary
	before int
	tables map[string]named
	local  map[string]bool // common table expressions
	parts  int
}

// plainName is what a common table expression may be called: nothing that DuckDB could take for a file.
var plainName = regexp.MustCompile(`^[\pL\pN_ $-]+$`)

// locals gathers the names of common table expressions.
func (w *walker) locals(node any) error {
	switch node := node.(type) {
	case []any:
		for _, child := range node {
			if err := w.locals(child); err != nil {
				return err
			}
		}
	case map[string]any:
		if m, ok := node["cte_map"].(map[string]any); ok {
			entries, _ := m["map"].([]any)
			for _, e := range entries {
				entry, _ := e.(map[string]any)
				name, _ := entry["key"].(string)
				if !plainName.MatchString(name) {
					return invalidSQL(-1, "%q is no name for a common table expression", name)
				}
				w.local[strings.ToLower(name)] = true
			}
		}
		for _, child := range node {
			if err := w.locals(child); err != nil {
				return err
			}
		}
	}
	return nil
}

// check refuses what a tenant's statement may not name. It looks at members of the tree, whatever node they stand in, so that
// a kind of node it does not know hides nothing.
func (w *walker) check(node any) error {
	switch node := node.(type) {
	case []any:
		for _, child := range node {
			if err := w.check(child); err != nil {
				return err
			}
		}
	case map[string]any:
		if w.parts++; w.parts > maxParts {
			return invalidSQL(-1, "the statement has more than %d parts", maxParts)
		}
		if err := w.node(node); err != nil {
			return err
		}
		for _, child := range node {
			if err := w.check(child); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walker) node(node map[string]any) error {
	kind := member(node, "type")
	switch {
	case kind == "TABLE_FUNCTION":
		return w.tableFunction(node)
	case member(node, "catalog_name") != "" || member(node, "schema_name") != "":
		return w.refuse(node, "tables have one name, without a schema: %s", strings.Join(nonempty(member(node, "catalog_name"), member(node,
			"schema_name"), member(node, "table_name")), "."))
	case node["at_clause"] != nil:
		return w.refuse(node, "AT is not supported: use %s(timestamp) or asOf", "<noun>"+suffixAt)
	case kind == "SHOW_REF" && node["query"] == nil:
		return w.refuse(node, "only SHOW TABLES, DESCRIBE <table> and SUMMARIZE <table> are allowed")
	case member(node, "function_name") != "":
		return w.function(node)
	case member(node, "table_name") != "":
		return w.table(node)
	case strings.HasSuffix(kind, "_NODE") && !readingNodes[kind]:
		return w.refuse(node, "only statements that read are allowed")
	}
	return nil
}

// nonempty leaves out empty texts.
func nonempty(all ...string) (out []string) {
	for _, s := range all {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

// readingNodes are the kinds of query that only read.
var readingNodes = map[string]bool{
	"SELECT_NODE": true, "SET_OPERATION_NODE": true, "RECURSIVE_CTE_NODE": true, "CTE_NODE": true,
}

func member(node map[string]any, name string) string {
	s, _ := node[name].(string)
	return s
}

// refuse says where in the statement something is not allowed.
func (w *walker) refuse(node map[string]any, format string, args ...any) error {
	position := -1
	if at, ok := node["query_location"].(float64); ok && at < math.MaxInt32 { // unknown is 2^64-1
		position = int(at) + w.before
	}
	return invalidSQL(position, format, args...)
}

func (w *walker) table(node map[string]any) error {
	name := member(node, "table_name")
	t, ok := w.vocabulary.table(name, false)
	switch {
	case ok:
		w.tables[strings.ToLower(name)] = t
	case !w.local[strings.ToLower(name)]:
		return w.refuse(node, "there is no table %q; SHOW TABLES lists them", short(name))
	}
	return nil
}

func (w *walker) tableFunction(node map[string]any) error {
	call, _ := node["function"].(map[string]any)
	name := strings.ToLower(member(call, "function_name"))
	if t, ok := w.vocabulary.table(name, true); ok {
		w.tables[name] = t
		return w.qualified(call)
	}
	if !tableFunctions[name] {
		return w.refuse(node, "there is no table function %q", short(name))
	}
	return w.qualified(call)
}

func (w *walker) function(node map[string]any) error {
	name := strings.ToLower(member(node, "function_name"))
	if deniedFunctions[name] || strings.HasPrefix(name, "__") && name != "__postfix" {
		return w.refuse(node, "there is no function %q", short(name))
	}
	if (name == "format" || name == "printf") && !formatting(node) {
		return w.refuse(node, "the first argument of %s has to be a constant without widths of five digits", name)
	}
	return w.qualified(node)
}

// qualified refuses functions of other schemas; DuckDB's parser itself writes main for some.
func (w *walker) qualified(node map[string]any) error {
	if member(node, "catalog") != "" || member(node, "schema") != "" && member(node, "schema") != "main" {
		return w.refuse(node, "functions have one name, without a schema")
	}
	return nil
}

// tableFunctions are the functions that may stand in FROM: those that read their arguments only.
var tableFunctions = set("range", "generate_series", "unnest", "json_each", "json_tree", "repeat_row", "generate_subscripts",
	"pg_timezone_names", "icu_calendar_names", "regexp_split_to_table")

// deniedFunctions tell of the server rather than of the data, run text as SQL, or only wait.
var deniedFunctions = set(
	"current_query", "current_setting", "getenv", "write_log", "pg_get_viewdef", "pg_get_expr", "pg_get_constraintdef",
	"pg_conf_load_time", "pg_postmaster_start_time", "nextval", "currval", "pg_sleep", "sleep_ms",
	"json_serialize_sql", "json_serialize_plan", "json_deserialize_sql", "json_execute_serialized_sql", "query", "query_table",
	"which_secret", "inet_client_addr", "inet_client_port", "inet_server_addr", "inet_server_port", "get_block_size",
	"current_connection_id", "current_transaction_id", "txid_current", "current_query_id", functionLift,
)

func set(names ...string) map[string]bool {
	out := make(map[string]bool, len(names))
	for _, name := range names {
		out[name] = true
	}
	return out
}

// short cuts what a message repeats.
func short(text string) string {
	const most = 80
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
