package query

import (
	"context"
	"encoding/json"
	"strings"

	"headless.ly/query/engine"
)

// explainPlan answers EXPLAIN with the plan as JSON, without what tells of the server: files, other tables, the text that ran.
func (r *Result) explainPlan(conn *engine.Conn, prefix string, a admitted, q SQL) error {
	out, err := planOf(r.ctx, conn, prefix+a.text, q)
	if err != nil {
		return unpositioned(err)
	}
	var args []any
	var values []string
	for _, row := range out {
		key, _ := row[0].(string)
		plan, _ := row[1].(string)
		var tree any
		if err := json.Unmarshal([]byte(plan), &tree); err != nil {
			return err
		}
		shown, err := json.MarshalIndent(r.engine.withoutPaths(tree), "", "  ")
		if err != nil {
			return err
		}
		values = append(values, "(?, ?)")
		args = append(args, key, string(shown))
	}
	show := admitted{kind: kindSelect, text: "select * from (values " + strings.Join(values, ", ") + ") t(explain_key, explain_value)"}
	return r.run(conn, show, SQL{Args: args, Limit: q.Limit})
}

func planOf(ctx context.Context, conn *engine.Conn, text string, q SQL) ([][]any, error) {
	s, err := conn.Prepare(ctx, text)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	s.Held = true
	rows, err := q.run(ctx, s)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return rows.All(ctx)
}

// hiddenParts are the parts of a plan that tell where data lies.
var hiddenParts = set("Filename(s)", "Table", "query_name", "File Filters", "Scanning Files")

// withoutPaths gives a plan without what tells where data lies.
func (e *Engine) withoutPaths(node any) any {
	switch node := node.(type) {
	case map[string]any:
		for key, child := range node {
			if hiddenParts[key] {
				delete(node, key)
				continue
			}
			node[key] = e.withoutPaths(child)
		}
	case []any:
		for i, child := range node {
			node[i] = e.withoutPaths(child)
		}
	case string:
		if e.reveals(node) {
			return ""
		}
	}
	return node
}
