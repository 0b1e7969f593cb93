package query

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/duckdb/duckdb-go/v2"

	"headless.ly/catalog/entity"
	"headless.ly/lakehouse"
)

// functionLift names the SQL function lift(noun, extra, retired): lakehouse.Lift, for rows that DuckDB reads. Its result is a
// JSON object: each lifted column's value as text that casts to the column's type, and under _extra the text that remains.
const functionLift = "lift"

type lift struct{ schemas schemas }

// registerLift makes lift known to a database.
func registerLift(ctx context.Context, db *sql.DB, all schemas) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return duckdb.RegisterScalarUDF(conn, functionLift, &lift{all})
}

// Config says what DuckDB gives and takes. Null gives null.
func (f *lift) Config() duckdb.ScalarFuncConfig {
	text, err := duckdb.NewTypeInfo(duckdb.TYPE_VARCHAR)
	if err != nil {
		panic(err) // only for types that need parameters
	}
	return duckdb.ScalarFuncConfig{InputTypeInfos: []duckdb.TypeInfo{text, text, text}, ResultTypeInfo: text}
}

// Executor gives the function.
func (f *lift) Executor() duckdb.ScalarFuncExecutor {
	return duckdb.ScalarFuncExecutor{RowExecutor: f.row}
}

func (f *lift) row(args []driver.Value) (any, error) {
	name, _ := args[0].(string)
	extra, _ := args[1].(string)
	retired, _ := args[2].(string)
	table := f.schemas[name]
	if table == nil {
		return nil, fmt.Errorf("lift: no noun %q", name)
	}
	values, rest, err := lakehouse.Lift(table.noun, extra, retired)
	if err != nil {
		return nil, err
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
