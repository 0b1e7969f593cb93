package query

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones mean the same on every machine

	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/lakehouse"
)

// Limits of an aggregate (analytics.md 3).
const (
	defaultGroups = 1000
	maxGroups     = 10_000
	maxGroupKeys  = 16
	maxMetrics    = 50
	maxInstants   = 1000
)

// Aggregate asks for metrics of the entities that pass a filter, by group; with Every, of their state at each of a series of
// instants.
type Aggregate struct {
	Options // Strong, AsOf and MinSeq
	Filter  entity.Object
	GroupBy []GroupKey
	Metrics []Metric
	Having  entity.Object // a filter over the names of groups and metrics
	Sort    string        // names as well; "" is by the groups
	Limit   int           // 1 to 10,000; 0 is 1,000
	Every   string        // "1w": a number and m, h, d, w, mo, q or y
	From    string        // instants, as AsOf
	To      string        // "" is now
}

// GroupKey is one value that groups share.
type GroupKey struct {
	Field  string // dotted names follow forward relationships
	Bucket string // of a time: minute, hour, day, week, month, quarter or year
	Zone   string // of the bucket; "" is UTC
	As     string // what results call it
}

// Metric is one number of a group.
type Metric struct {
	As       string
	Op       string  // $count, $countDistinct, $sum, $avg, $min, $max, $median, $quantile, $first or $last
	Field    string  // "" for $count of all
	Quantile float64 // 0 to 1
}

// Groups are the results of an aggregate: JSON objects, whose memory is the caller's.
type Groups struct {
	Results   [][]byte
	Truncated bool // there were more than the limit
	At
}

// Aggregate computes metrics over the entities of a noun at one instant, or over a series of them in one pass.
func (r *Reader) Aggregate(ctx context.Context, tenant string, n *noun.Noun, q Aggregate) (Groups, error) {
	p, err := r.planAggregate(n, q)
	if err != nil {
		return Groups{}, err
	}
	view := r.lake.Pin(tenant) // before the head is read
	defer view.Release()
	at, err := r.fix(ctx, tenant, q.Options, p.now)
	if err != nil {
		return Groups{}, err
	}
	rows, err := r.engine.query(ctx, scope{tenant, view, at.Seq}, p.statement())
	if err != nil {
		return Groups{}, err
	}
	out := Groups{At: at, Truncated: len(rows) > p.limit}
	rows = p.complete(rows[:min(len(rows), p.limit)])
	for _, row := range rows {
		out.Results = append(out.Results, p.result(row))
	}
	return out, nil
}

// aggregatePlan is a checked aggregate.
type aggregatePlan struct {
	table    *schema
	schemas  schemas
	filter   filter
	having   condition
	groups   []output
	metrics  []output
	order    []outputOrder
	limit    int
	now      time.Time
	instants []time.Time // of a series
}

// output is a column of the results.
type output struct {
	name   string
	path   path // its value of a row; the zero path: the row itself
	metric Metric
	bucket string
	zone   *time.Location
	column lakehouse.Column // what the result is
}

type outputOrder struct {
	column  string
	descend bool
}

// Columns of the statement: k0, k1 … are groups, v0, v1 … metrics.
func groupName(i int) string  { return "k" + strconv.Itoa(i) }
func metricName(i int) string { return "v" + strconv.Itoa(i) }

func (r *Reader) planAggregate(n *noun.Noun, q Aggregate) (*aggregatePlan, error) {
	p := &aggregatePlan{table: r.schemas[n.Name], schemas: r.schemas, limit: q.Limit, now: r.now()}
	if p.limit == 0 {
		p.limit = defaultGroups
	}
	if p.limit < 1 || p.limit > maxGroups {
		e := problem.New(problem.LimitExceeded, "limit is 1 to %d", maxGroups)
		e.Field = "limit"
		return nil, e
	}
	parser := &filterParser{resolver: r.resolver, noun: n}
	var err error
	if p.filter, err = parser.parse(q.Filter); err != nil {
		return nil, err
	}
	if err := p.addGroups(r.resolver, q.GroupBy); err != nil {
		return nil, err
	}
	if err := p.addMetrics(r.resolver, q.Metrics); err != nil {
		return nil, err
	}
	if err := p.series(q); err != nil {
		return nil, err
	}
	if err := p.named(); err != nil {
		return nil, err
	}
	parser.names = p.paths()
	if p.having, err = parser.object(q.Having, 1); err != nil {
		return nil, err
	}
	return p, p.sort(q.Sort)
}

func (p *aggregatePlan) addGroups(resolver *resolver, keys []GroupKey) error {
	if len(keys) > maxGroupKeys {
		return invalid("groupBy", "at most %d groups are allowed", maxGroupKeys)
	}
	for i, k := range keys {
		at, err := single(resolver, p.table.noun, "groupBy", k.Field)
		if err != nil {
			return err
		}
		o := output{name: k.As, path: at, bucket: k.Bucket, column: at.leaf.column}
		if o.name == "" {
			o.name = k.Field
		}
		if at.leaf.kind != leafColumn {
			o.column = lakehouse.Column{Type: lakehouse.String}
		}
		if k.Bucket != "" || k.Zone != "" {
			if err := o.setBucket(k); err != nil {
				return err
			}
		}
		o.column.Name = groupName(i)
		p.groups = append(p.groups, o)
	}
	return nil
}

// single resolves a name that means one value of a row.
func single(resolver *resolver, n *noun.Noun, parameter, name string) (path, error) {
	if name == "" {
		return path{}, invalid(parameter, "a field is missing")
	}
	at, err := resolver.path(n, name)
	if err != nil {
		return path{}, invalid(parameter, "%s is no field of %s", short(name), n.Name)
	}
	if at.many() {
		return path{}, invalid(parameter, "%s is a set: only forward relationships can be followed", short(name))
	}
	return at, nil
}

// buckets are the lengths of time that instants can be gathered by; true: results are dates.
var buckets = map[string]bool{"minute": false, "hour": false, "day": true, "week": true, "month": true, "quarter": true, "year": true}

func (o *output) setBucket(k GroupKey) error {
	dates, known := buckets[k.Bucket]
	switch {
	case !known:
		return invalid("groupBy", "a bucket is minute, hour, day, week, month, quarter or year, not %q", short(k.Bucket))
	case o.path.leaf.kind != leafColumn || o.column.Type != lakehouse.Timestamp && o.column.Type != lakehouse.Date:
		return invalid("groupBy", "%s is no time: it has no buckets", short(k.Field))
	case o.column.Type == lakehouse.Date && !dates:
		return invalid("groupBy", "%s is a date: its buckets are days or longer", short(k.Field))
	}
	zone, err := time.LoadLocation(k.Zone)
	if err != nil || k.Zone == "Local" {
		return invalid("groupBy", "there is no time zone %q", short(k.Zone))
	}
	o.zone = zone
	if dates {
		o.column = lakehouse.Column{Type: lakehouse.Date}
	}
	return nil
}

func (p *aggregatePlan) addMetrics(resolver *resolver, metrics []Metric) error {
	if len(metrics) == 0 || len(metrics) > maxMetrics {
		return invalid("metrics", "1 to %d metrics are needed", maxMetrics)
	}
	for i, m := range metrics {
		o := output{name: m.As, metric: m, column: lakehouse.Column{Type: lakehouse.Long}}
		if m.Field != "" {
			at, err := single(resolver, p.table.noun, "metrics", m.Field)
			if err != nil {
				return err
			}
			o.path = at
		}
		t, err := o.metricType()
		if err != nil {
			return err
		}
		o.column = t
		o.column.Name = metricName(i)
		p.metrics = append(p.metrics, o)
	}
	return nil
}

// metricType is what a metric gives.
func (o *output) metricType() (lakehouse.Column, error) {
	leaf := o.path.leaf
	from := leaf.column
	if leaf.kind != leafColumn {
		from = lakehouse.Column{Type: lakehouse.String}
	}
	number := from.Type == lakehouse.Double || from.Type == lakehouse.Long || from.Type == lakehouse.Decimal
	if leaf.kind == leafJSON { // an undeclared number
		from, number = lakehouse.Column{Type: lakehouse.Double}, true
	}
	if o.metric.Op != "$count" && o.metric.Field == "" {
		return from, invalid("metrics", "%s needs a field", o.metric.Op)
	}
	switch o.metric.Op {
	case "$count", "$countDistinct":
		return lakehouse.Column{Type: lakehouse.Long}, nil
	case "$min", "$max", "$first", "$last":
		if leaf.kind == leafJSON {
			from = lakehouse.Column{Type: lakehouse.String}
		}
		return from, nil
	case "$sum", "$avg", "$median", "$quantile":
		if !number {
			return from, invalid("metrics", "%s needs a number, and %s is none", o.metric.Op, short(o.metric.Field))
		}
		if o.metric.Op == "$sum" {
			return from, nil
		}
		if q := o.metric.Quantile; o.metric.Op == "$quantile" && !(q >= 0 && q <= 1) {
			return from, invalid("metrics", "a quantile is 0 to 1")
		}
		return lakehouse.Column{Type: lakehouse.Double}, nil
	}
	e := invalid("metrics", "%q is no metric", short(o.metric.Op))
	e.Supported = metricOperators
	return from, e
}

// metricOperators are all, as an error lists them.
var metricOperators = []string{"$count", "$countDistinct", "$sum", "$avg", "$min", "$max", "$median", "$quantile", "$first", "$last"}

// outputs are the columns of a result in order.
func (p *aggregatePlan) outputs() []output { return append(slices.Clone(p.groups), p.metrics...) }

// atName is what a series calls its instants.
const atName = "at"

// named checks that every column of the results has a name of its own.
func (p *aggregatePlan) named() error {
	seen := map[string]bool{atName: len(p.instants) > 0}
	for _, o := range p.outputs() {
		if o.name == "" || seen[o.name] {
			return invalid("metrics", "results have two columns called %q: give one another name with \"as\"", short(o.name))
		}
		seen[o.name] = true
	}
	return nil
}

// paths are the columns of a result by name, as a filter means them.
func (p *aggregatePlan) paths() map[string]path {
	paths := map[string]path{}
	for _, o := range p.outputs() {
		paths[o.name] = path{name: o.name, leaf: leaf{kind: leafColumn, column: o.column}}
	}
	return paths
}

// sort reads the order of results. What it leaves open the groups decide.
func (p *aggregatePlan) sort(text string) error {
	paths := p.paths()
	each := func(name string, descend bool) error {
		at, ok := paths[name]
		if name == atName && len(p.instants) > 0 {
			at.leaf.column.Name, ok = atName, true
		}
		if !ok {
			e := problem.New(problem.InvalidSort, "results have no column %q to sort by", short(name))
			e.Field = short(name)
			return e
		}
		p.order = append(p.order, outputOrder{at.leaf.column.Name, descend})
		return nil
	}
	text = strings.TrimSpace(text)
	var err error
	switch {
	case strings.HasPrefix(text, "{"):
		err = splitSortObject(text, each)
	case text != "":
		err = splitSort(text, each)
	}
	if len(p.order) > maxSortKeys {
		err = problem.New(problem.InvalidSort, "at most %d sort keys are allowed", maxSortKeys)
	}
	if len(p.instants) > 0 {
		p.order = append(p.order, outputOrder{column: atName})
	}
	for _, g := range p.groups {
		p.order = append(p.order, outputOrder{column: g.column.Name})
	}
	return err
}

// complete gives a series without groups a row for every instant: where nothing was there, counts are 0.
func (p *aggregatePlan) complete(rows [][]any) [][]any {
	if len(p.instants) == 0 || len(p.groups) > 0 || len(p.having.(all)) > 0 || len(rows) == len(p.instants) {
		return rows
	}
	seen := map[int64]bool{}
	for _, row := range rows {
		seen[row[0].(time.Time).UnixMicro()] = true
	}
	for _, t := range p.instants {
		if seen[t.UnixMicro()] {
			continue
		}
		row := []any{t}
		for _, m := range p.metrics {
			row = append(row, map[bool]any{true: int64(0)}[strings.HasPrefix(m.metric.Op, "$count")])
		}
		rows = append(rows, row)
	}
	if p.order[0].column == atName {
		slices.SortStableFunc(rows, func(a, b []any) int {
			order := a[0].(time.Time).Compare(b[0].(time.Time))
			if p.order[0].descend {
				return -order
			}
			return order
		})
	}
	return rows[:min(len(rows), p.limit)]
}

// result writes one row as a JSON object.
func (p *aggregatePlan) result(row []any) []byte {
	var o entity.Object
	if len(p.instants) > 0 {
		o = append(o, entity.Member{Name: atName, Value: entity.Quote(formatTime(row[0].(time.Time).UnixMilli()))})
		row = row[1:]
	}
	for i, out := range p.outputs() {
		o = append(o, entity.Member{Name: out.name, Value: out.json(row[i])})
	}
	return o.Append(nil)
}

// maxSafeInteger is the largest up to which JSON numbers are exact in every client.
const maxSafeInteger = 1<<53 - 1

// json writes a value of the column.
func (o *output) json(v any) jsontext.Value {
	switch v := v.(type) {
	case nil:
		return jsontext.Value("null")
	case bool:
		return jsontext.Value(strconv.FormatBool(v))
	case float64:
		if v-v != 0 {
			return entity.Quote(strconv.FormatFloat(v, 'g', -1, 64))
		}
		b, _ := jsontext.AppendFormat(nil, strconv.AppendFloat(nil, v, 'g', -1, 64), jsontext.CanonicalizeRawFloats(true))
		return b
	case int64:
		if v > maxSafeInteger || v < -maxSafeInteger {
			return entity.Quote(strconv.FormatInt(v, 10))
		}
		return jsontext.Value(strconv.FormatInt(v, 10))
	case time.Time:
		return o.jsonTime(v)
	}
	text := v.(string)
	if o.column.Type == lakehouse.Long { // a sum
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return o.json(n)
		}
	}
	if o.column.Type == lakehouse.JSON {
		return jsontext.Value(text)
	}
	return entity.Quote(text)
}

func (o *output) jsonTime(t time.Time) jsontext.Value {
	switch {
	case o.column.Type == lakehouse.Date:
		return entity.Quote(t.Format(time.DateOnly))
	case o.zone != nil:
		return entity.Quote(t.In(o.zone).Format("2006-01-02T15:04:05-07:00"))
	}
	return entity.Quote(formatTime(t.UnixMilli()))
}
