package query

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
)

// aggregateMembers are what the body of an aggregate may hold.
var aggregateMembers = []string{"filter", "groupBy", "metrics", "having", "sort", "limit", "asOf", "strong", "every", "from", "to"}

// ParseAggregate reads the body of an aggregate (analytics.md 3). Errors are problems that name the member.
func ParseAggregate(o entity.Object) (Aggregate, error) {
	var q Aggregate
	for _, m := range o {
		if err := q.member(m); err != nil {
			return q, err
		}
	}
	return q, nil
}

func (q *Aggregate) member(m entity.Member) (err error) {
	if entity.IsNull(m.Value) {
		m.Value = jsontext.Value("null")
		if !slices.Contains(aggregateMembers, m.Name) {
			return unknownMember(m.Name)
		}
		return nil
	}
	switch m.Name {
	case "filter":
		q.Filter, err = filterMember(m)
	case "having":
		q.Having, err = filterMember(m)
	case "groupBy":
		q.GroupBy, err = groupKeys(m.Value)
	case "metrics":
		q.Metrics, err = metricsOf(m.Value)
	case "sort":
		q.Sort, err = sortMember(m.Value)
	case "limit":
		q.Limit, err = strconv.Atoi(string(m.Value))
		if err != nil || q.Limit < 1 {
			err = invalid("limit", "limit is 1 to %d", maxGroups)
		}
	case "asOf":
		q.AsOf, err = textMember(m)
	case "strong":
		q.Strong = m.Value.Kind() == 't'
		if !q.Strong && m.Value.Kind() != 'f' {
			err = invalid("strong", "strong is true or false")
		}
	case "every":
		q.Every, err = textMember(m)
	case "from":
		q.From, err = textMember(m)
	case "to":
		q.To, err = textMember(m)
	default:
		err = unknownMember(m.Name)
	}
	return err
}

func unknownMember(name string) error {
	p := problem.New(problem.InvalidBody, "an aggregate has no member %q", short(name))
	p.Field, p.Supported = short(name), aggregateMembers
	return p
}

func textMember(m entity.Member) (string, error) {
	if text := entity.Unquote(m.Value); m.Value.Kind() == '"' && text != "" {
		return text, nil
	}
	return "", invalid(m.Name, "%s is a string", m.Name)
}

func filterMember(m entity.Member) (entity.Object, error) {
	o, err := entity.ParseStored(m.Value)
	if m.Value.Kind() != '{' || err != nil {
		return nil, invalidFilter(m.Name, "", "is no object")
	}
	return o, nil
}

func sortMember(v jsontext.Value) (string, error) {
	switch v.Kind() {
	case '"':
		return entity.Unquote(v), nil
	case '{':
		return string(v), nil
	}
	return "", problem.New(problem.InvalidSort, "sort is a string or an object")
}

// groupKeys reads a list of names and objects.
func groupKeys(v jsontext.Value) ([]GroupKey, error) {
	if v.Kind() == '"' {
		return []GroupKey{{Field: entity.Unquote(v)}}, nil
	}
	list, ok := entity.Elements(v)
	if !ok {
		return nil, invalid("groupBy", "groupBy is an array of fields")
	}
	var out []GroupKey
	for _, e := range list {
		k, err := groupKey(e)
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}

func groupKey(v jsontext.Value) (GroupKey, error) {
	if v.Kind() == '"' {
		return GroupKey{Field: entity.Unquote(v)}, nil
	}
	o, err := entity.ParseStored(v)
	if v.Kind() != '{' || err != nil {
		return GroupKey{}, invalid("groupBy", "a group is a field or an object with one")
	}
	var k GroupKey
	places := map[string]*string{"field": &k.Field, "bucket": &k.Bucket, "timeZone": &k.Zone, "as": &k.As}
	for _, m := range o {
		place, known := places[m.Name]
		if !known || m.Value.Kind() != '"' || entity.Unquote(m.Value) == "" {
			return GroupKey{}, invalid("groupBy", "a group has field, bucket, timeZone and as, which are strings: not %s", short(m.Name))
		}
		*place = entity.Unquote(m.Value)
	}
	return k, nil
}

// metricsOf reads {"name": {"$sum": "field"}}.
func metricsOf(v jsontext.Value) ([]Metric, error) {
	o, err := entity.ParseStored(v)
	if v.Kind() != '{' || err != nil {
		return nil, invalid("metrics", `metrics is an object like {"total": {"$sum": "value"}}`)
	}
	var out []Metric
	for _, m := range o {
		body, err := entity.ParseStored(m.Value)
		if m.Value.Kind() != '{' || err != nil || len(body) != 1 {
			return nil, invalid("metrics", `%s is no metric: it looks like {"$sum": "value"}`, short(m.Name))
		}
		metric, err := metricOf(m.Name, body[0])
		if err != nil {
			return nil, err
		}
		out = append(out, metric)
	}
	return out, nil
}

func metricOf(as string, m entity.Member) (Metric, error) {
	out := Metric{As: as, Op: m.Name}
	switch kind := m.Value.Kind(); {
	case kind == '"':
		out.Field = entity.Unquote(m.Value)
	case kind == 't' && m.Name == "$count":
	case kind == '[' && m.Name == "$quantile":
		list, _ := entity.Elements(m.Value)
		if len(list) != 2 || list[0].Kind() != '"' || list[1].Kind() != '0' {
			return out, invalid("metrics", `$quantile needs a field and a number: ["value", 0.9]`)
		}
		out.Field, out.Quantile = entity.Unquote(list[0]), float(list[1])
	default:
		return out, invalid("metrics", "%s of %s needs a field", short(m.Name), short(as))
	}
	if m.Name == "$quantile" && m.Value.Kind() != '[' {
		return out, invalid("metrics", `$quantile needs a field and a number: ["value", 0.9]`)
	}
	return out, nil
}

// shortMetric is a metric of a query string: count, sum(value), quantile(value,0.9).
var shortMetric = regexp.MustCompile(`^([a-zA-Z]+)(?:\(([^(),]+)(?:,\s*([0-9.]+))?\))?$`)

// ParseAggregateValues reads an aggregate from a query string: groupBy and metrics are lists, the rest is as of a list.
func ParseAggregateValues(n *noun.Noun, v url.Values) (Aggregate, error) {
	rest := url.Values{}
	for name, values := range v {
		if !slices.Contains(aggregateMembers, name) || name == "filter" || name == "asOf" || name == "strong" {
			rest[name] = values
		}
	}
	listed, err := ParseValues(n, rest)
	if err != nil {
		return Aggregate{}, err
	}
	q := Aggregate{Options: listed.Options, Filter: listed.Filter, Sort: v.Get("sort"), Every: v.Get("every"), From: v.Get("from"), To: v.Get("to")}
	if q.Limit, err = parseLimit(v, maxGroups); err != nil {
		return q, err
	}
	if text := v.Get("having"); text != "" {
		if q.Having, err = filterMember(entity.Member{Name: "having", Value: jsontext.Value(text)}); err != nil {
			return q, err
		}
	}
	for _, field := range list(v, "groupBy") {
		q.GroupBy = append(q.GroupBy, GroupKey{Field: field})
	}
	for _, text := range splitMetrics(v["metrics"]) {
		m := shortMetric.FindStringSubmatch(text)
		if m == nil {
			return q, invalid("metrics", "%q is no metric: count, sum(value) …", short(text))
		}
		metric := Metric{As: m[1], Op: "$" + m[1], Field: m[2]}
		if m[2] != "" {
			metric.As += "_" + m[2]
		}
		if m[3] != "" {
			metric.Quantile = float(jsontext.Value(m[3]))
			metric.As += "_" + m[3]
		}
		q.Metrics = append(q.Metrics, metric)
	}
	return q, nil
}

// splitMetrics splits lists at the commas that stand outside of parentheses.
func splitMetrics(lists []string) (out []string) {
	for _, text := range lists {
		depth, start := 0, 0
		for i := 0; i <= len(text); i++ {
			if i == len(text) || text[i] == ',' && depth == 0 {
				if part := strings.TrimSpace(text[start:i]); part != "" {
					out = append(out, part)
				}
				start = i + 1
				continue
			}
			switch text[i] {
			case '(':
				depth++
			case ')':
				depth--
			}
		}
	}
	return out
}
