package query

import (
	"fmt"
	"strconv"
	"time"

	"headless.ly/catalog/entity"
	"headless.ly/lakehouse"
	"headless.ly/query/duck"
)

// functionLift names the SQL function lift(noun, extra, retired): lakehouse.Lift, for rows that DuckDB reads. Its result is a
// JSON object: each lifted column's value as text that casts to the column's type, and under _extra the text that remains.
const functionLift = "lift"

// registerLift makes lift known to a database.
func registerLift(conn *duck.Conn, all schemas) error {
	return conn.Register(functionLift, 3, func(args []string) (string, error) { return all.lift(args[0], args[1], args[2]) })
}

func (all schemas) lift(name, extra, retired string) (string, error) {
	table := all[name]
	if table == nil {
		return "", fmt.Errorf("lift: no noun %q", name)
	}
	values, rest, err := lakehouse.Lift(table.noun, extra, retired)
	if err != nil {
		return "", err
	}
	var out entity.Object
	for i, v := range values {
		if v != nil {
			out = append(out, entity.Member{Name: table.noun.Columns()[i].Name, Value: entity.Quote(castable(v))})
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
