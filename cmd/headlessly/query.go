package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"headless.ly/api/client"
)

// target is where a command asks and how it shows the answer.
type target struct {
	endpoint string
	tenant   string
	output   string
}

func (t *target) flags(cmd *cobra.Command) {
	serverFlags(cmd, &t.tenant, &t.endpoint)
	cmd.Flags().StringVar(&t.output, "output", "table", "table, json or csv")
}

// serverFlags takes where a command asks: which tenant, of which server.
func serverFlags(cmd *cobra.Command, tenant, endpoint *string) {
	cmd.Flags().StringVar(tenant, "tenant", environment("HEADLESSLY_TENANT", client.DefaultTenant), "tenant (HEADLESSLY_TENANT)")
	cmd.Flags().StringVar(endpoint, "endpoint", environment("HEADLESSLY_ENDPOINT", client.DefaultEndpoint), "server (HEADLESSLY_ENDPOINT)")
}

func (t *target) client() (*client.Client, error) {
	if !slices.Contains([]string{"table", "json", "csv"}, t.output) {
		return nil, fmt.Errorf("--output %s: want table, json or csv", t.output)
	}
	return client.New(client.Config{Endpoint: t.endpoint, Tenant: t.tenant})
}

func sqlCommand() *cobra.Command {
	var t target
	var q client.Query
	var params []string
	cmd := &cobra.Command{
		Use:   "sql STATEMENT",
		Short: "Run a SQL statement that reads, on a running server",
		Long: "Run a SQL statement over the tables of a tenant: contact, deal …, deal_history, deal_at(timestamp), events.\n" +
			"SHOW TABLES lists them. STATEMENT - is standard input.",
		Example: `  headlessly sql "select stage, count(*) n from deal group by all" --tenant demo
  headlessly sql "from deal where value > ? limit 5" --param 5000 --as-of 2017-06-30 --output csv`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.SQL = args[0]
			if q.SQL == "-" {
				text, err := io.ReadAll(cmd.InOrStdin())
				if err != nil {
					return err
				}
				q.SQL = string(text)
			}
			for _, p := range params {
				q.Args = append(q.Args, argument(p))
			}
			return runSQL(cmd, t, q)
		},
	}
	t.flags(cmd)
	cmd.Flags().StringArrayVar(&params, "param", nil, "the value of a ? of the statement, in order: JSON, or else text")
	cmd.Flags().StringVar(&q.AsOf, "as-of", "", "an instant: 2017-06-30, or like 7d ago")
	cmd.Flags().IntVar(&q.Limit, "limit", 0, "rows at most (default: the server's)")
	cmd.Flags().DurationVar(&q.Timeout, "timeout", 0, "time at most (default: the server's)")
	return cmd
}

// argument reads a parameter: JSON where it is JSON.
func argument(text string) any {
	var v any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil || d.More() {
		return text
	}
	return v
}

func runSQL(cmd *cobra.Command, t target, q client.Query) error {
	c, err := t.client()
	if err != nil {
		return err
	}
	if t.output == "csv" {
		body, err := c.QueryAs(cmd.Context(), q, "text/csv")
		if err != nil {
			return pointed(q.SQL, err)
		}
		_, err = cmd.OutOrStdout().Write(body)
		return err
	}
	start := time.Now()
	rows, err := c.Query(cmd.Context(), q)
	if err != nil {
		return pointed(q.SQL, err)
	}
	result := grid{rows: rows.Rows}
	for _, column := range rows.Columns {
		result.columns = append(result.columns, column.Name)
	}
	return result.show(cmd, t.output, rows.Truncated, time.Since(start))
}

// pointed shows where in a statement an error lies.
func pointed(statement string, err error) error {
	e, ok := errors.AsType[*client.Error](err)
	if !ok || e.Position == nil || *e.Position > len(statement) {
		return err
	}
	before := statement[:*e.Position]
	line := strings.Count(before, "\n")
	column := len(before) - strings.LastIndex(before, "\n") - 1
	return fmt.Errorf("%w\n  %s\n  %s^", err, strings.Split(statement, "\n")[line], strings.Repeat(" ", column))
}

// aggregateFlags is what the aggregate command is asked.
type aggregateFlags struct {
	target
	kind, filter, having, sort, asOf, every, from, to string
	groups, metrics                                   []string
	limit                                             int
}

func aggregateCommand() *cobra.Command {
	var f aggregateFlags
	cmd := &cobra.Command{
		Use:     "aggregate --type Deal --metric total=sum(value)",
		Short:   "Count, sum and group the entities of a type, on a running server",
		Example: `  headlessly aggregate --type Deal --group stage --metric n=count --metric "total=sum(value)" --sort -total --tenant demo`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runAggregate(cmd, f) },
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&f.kind, "type", "", "Contact, Deal …")
	cmd.Flags().StringArrayVar(&f.groups, "group", nil, "a field, or field:bucket, or field:bucket:zone: $createdAt:month:Europe/Berlin")
	cmd.Flags().StringArrayVar(&f.metrics, "metric", nil, "name=operator(field): n=count, total=sum(value), p90=quantile(value,0.9)")
	cmd.Flags().StringVar(&f.filter, "filter", "", "a filter, in JSON")
	cmd.Flags().StringVar(&f.having, "having", "", "a filter on the results, in JSON")
	cmd.Flags().StringVar(&f.sort, "sort", "", "names of groups and metrics, - before those that descend")
	cmd.Flags().StringVar(&f.asOf, "as-of", "", "an instant: 2017-06-30, or like 7d ago")
	cmd.Flags().StringVar(&f.every, "every", "", "as of a series of instants: 1d, 1w, 1mo; needs --from")
	cmd.Flags().StringVar(&f.from, "from", "", "the first instant of a series")
	cmd.Flags().StringVar(&f.to, "to", "", "the last one (default: now)")
	cmd.Flags().IntVar(&f.limit, "limit", 0, "groups at most (default: the server's)")
	_ = cmd.MarkFlagRequired("type") // the flag is defined above
	return cmd
}

// body is the aggregate as the server reads it, and the names of its columns in order.
func (f aggregateFlags) body() (map[string]any, []string, error) {
	body := map[string]any{}
	var columns []string
	for name, text := range map[string]string{"sort": f.sort, "asOf": f.asOf, "every": f.every, "from": f.from, "to": f.to} {
		if text != "" {
			body[name] = text
		}
	}
	if f.every != "" {
		columns = append(columns, "at")
	}
	for name, text := range map[string]string{"filter": f.filter, "having": f.having} {
		if text == "" {
			continue
		}
		if !json.Valid([]byte(text)) {
			return nil, nil, fmt.Errorf("--%s is no JSON", name)
		}
		body[name] = json.RawMessage(text)
	}
	if f.limit > 0 {
		body["limit"] = f.limit
	}
	groups := []any{}
	for _, text := range f.groups {
		parts := strings.SplitN(text, ":", 3)
		group := map[string]string{"field": parts[0]}
		for i, name := range []string{"bucket", "timeZone"} {
			if len(parts) > i+1 {
				group[name] = parts[i+1]
			}
		}
		groups, columns = append(groups, group), append(columns, parts[0])
	}
	body["groupBy"] = groups
	metrics, names, err := parseMetrics(f.metrics)
	body["metrics"] = metrics
	return body, append(columns, names...), err
}

// parseMetrics reads name=operator(field,number).
func parseMetrics(texts []string) (map[string]any, []string, error) {
	if len(texts) == 0 {
		texts = []string{"count=count"}
	}
	metrics := map[string]any{}
	var names []string
	for _, text := range texts {
		name, call, found := strings.Cut(text, "=")
		if !found {
			name, call = text, text
		}
		operator, rest, _ := strings.Cut(call, "(")
		field, number, quantile := strings.Cut(strings.TrimSuffix(rest, ")"), ",")
		var operand any = field
		switch {
		case field == "":
			operand = true
		case quantile:
			operand = []any{field, json.Number(strings.TrimSpace(number))}
		}
		if name == "" || operator == "" || metrics[name] != nil {
			return nil, nil, fmt.Errorf("--metric %s: want name=operator(field)", text)
		}
		metrics[name] = map[string]any{"$" + operator: operand}
		names = append(names, name)
	}
	return metrics, names, nil
}

func runAggregate(cmd *cobra.Command, f aggregateFlags) error {
	c, err := f.client()
	if err != nil {
		return err
	}
	body, columns, err := f.body()
	if err != nil {
		return err
	}
	start := time.Now()
	answer, err := c.Aggregate(cmd.Context(), f.kind, body)
	if err != nil {
		return err
	}
	result := grid{columns: columns}
	for _, group := range answer.Results {
		row := make([]any, len(columns))
		for i, name := range columns {
			row[i] = group[name]
		}
		result.rows = append(result.rows, row)
	}
	return result.show(cmd, f.output, answer.Truncated, time.Since(start))
}

// grid is a result as it is shown.
type grid struct {
	columns []string
	rows    [][]any
}

// show writes the result to standard output, and what there is to say of it to standard error.
func (g grid) show(cmd *cobra.Command, output string, truncated bool, took time.Duration) error {
	out := cmd.OutOrStdout()
	var err error
	switch output {
	case "json":
		err = g.json(out)
	case "csv":
		err = g.csv(out)
	default:
		err = g.table(out)
		fmt.Fprintf(cmd.ErrOrStderr(), "%d rows in %v\n", len(g.rows), took.Round(time.Millisecond))
	}
	if truncated {
		fmt.Fprintln(cmd.ErrOrStderr(), "there are more rows: the result was cut off at its limit")
	}
	return err
}

// json writes one object a row, members in the order of the columns.
func (g grid) json(out io.Writer) error {
	for _, row := range g.rows {
		line := []byte{'{'}
		for i, name := range g.columns {
			if i > 0 {
				line = append(line, ',')
			}
			key, err := json.Marshal(name)
			if err != nil {
				return err
			}
			value, err := json.Marshal(row[i])
			if err != nil {
				return err
			}
			line = append(append(append(line, key...), ':'), value...)
		}
		if _, err := out.Write(append(line, "}\n"...)); err != nil {
			return err
		}
	}
	return nil
}

func (g grid) csv(out io.Writer) error {
	w := csv.NewWriter(out)
	if err := w.Write(g.columns); err != nil {
		return err
	}
	for _, row := range g.rows {
		if err := w.Write(cells(row, "")); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

func (g grid) table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(g.columns, "\t"))
	for _, row := range g.rows {
		fmt.Fprintln(w, strings.Join(cells(row, "-"), "\t"))
	}
	return w.Flush()
}

// cells are the values of a row as text; nothing stands for null.
func cells(row []any, nothing string) []string {
	out := make([]string, len(row))
	for i, v := range row {
		switch v := v.(type) {
		case nil:
			out[i] = nothing
		case string:
			out[i] = strings.NewReplacer("\t", " ", "\n", " ").Replace(v)
		case []any, map[string]any:
			text, _ := json.Marshal(v) // it was JSON before
			out[i] = string(text)
		default:
			out[i] = fmt.Sprint(v)
		}
	}
	return out
}
