package query

import (
	"fmt"
	"strconv"
	"time"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/lakehouse"
)

// functionLift names the SQL function lift(noun, extra, retired): lakehouse.Lift, for rows that DuckDB reads. Its result is a
// JSON object: each lifted column's value as text that casts to the column's type, and under _extra the text that remains.
const functionLift = "lift"

// declared is what lift knows of a noun.
type declared struct {
	Columns []noun.Column
	Was     map[string]string // names that columns had before
}

// declarations are what the engine's process is told of nouns, by name.
type declarations map[string]declared

func (all schemas) declarations() declarations {
	out := declarations{}
	for name, table := range all {
		out[name] = declared{table.noun.Columns(), table.noun.Was()}
	}
	return out
}

func (all declarations) lift(name, extra, retired string) (string, error) {
	n, ok := all[name]
	if !ok {
		return "", fmt.Errorf("lift: no noun %q", name)
	}
	values, rest, err := lakehouse.Lift(n.Columns, n.Was, extra, retired)
	if err != nil {
		return "", err
	}
	var out entity.Object
	for i, v := range values {
		if v != nil {
			out = append(out, entity.Member{Name: n.Columns[i].Name, Value: entity.Quote(castable(v))})
		}
	}
	if rest != "" {
		out = append(out, entity.Member{Name: columnExtra, Value: entity.Quote(rest)})
	}
	return string(out.Append(nil)), nil
}

// castable is a value of lakehouse.Row as text that DuckDB casts to its column's type without loss.
func castable(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case time.Time:
		return v.Format("2006-01-02 15:04:05.999999Z07:00")
	default: // int64 and bool
		return fmt.Sprint(v)
	}
}
