package api

import (
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/problem"
	"headless.ly/query/format"
)

// analytics: POST /analytics/query, a statement of operators over several tenants (analytics.md 4). Each call is an audit event
// of the log.
func analytics(r *request) error {
	start := time.Now()
	q, tenants, err := r.analyticsRequest()
	if err != nil {
		return err
	}
	result, err := r.s.reader.Across(r.c.Request.Context(), tenants, q.SQL)
	r.audit(q, tenants, time.Since(start), err)
	if err != nil {
		return err
	}
	defer result.Close()
	q.across, err = r.freshness(result.Tables)
	if err != nil {
		return err
	}
	return r.sendResult(result, q, start)
}

// audit logs who asked what of whom. The server is open: every caller is an operator.
func (r *request) audit(q sqlRequest, tenants []string, took time.Duration, err error) {
	outcome := "ok"
	if err != nil {
		outcome = string(r.problem(err).Code)
	}
	r.s.log.Info("audit", "event", "analytics.query", "request", r.requestID, "from", r.c.Request.RemoteAddr, "tenants",
		strings.Join(tenants, ","), "sql", q.Text, "asOf", q.AsOf, "outcome", outcome, "took", took)
}

// analyticsRequest reads the body: the members of a statement, and tenants.
func (r *request) analyticsRequest() (q sqlRequest, tenants []string, err error) {
	o, err := r.object()
	if err != nil {
		return q, nil, err
	}
	named := jsontext.Value(nil)
	for _, m := range o {
		if m.Name == "tenants" {
			named = m.Value
			continue
		}
		if err := q.member(m); err != nil {
			return q, nil, err
		}
	}
	if q.format, err = r.resultFormat(); err != nil {
		return q, nil, err
	}
	tenants, err = r.tenants(named)
	return q, tenants, err
}

// tenants reads a list of tenants, or "*" for all.
func (r *request) tenants(v jsontext.Value) ([]string, error) {
	bad := problem.New(problem.InvalidBody, `tenants is a list of tenants, or "*"`)
	bad.Field = "tenants"
	if v != nil && v.Kind() == '"' && entity.Unquote(v) == "*" {
		return r.s.lake.Tenants(r.c.Request.Context())
	}
	list, ok := entity.Elements(v)
	if v == nil || !ok || len(list) == 0 {
		return nil, bad
	}
	var tenants []string
	for _, e := range list {
		if e.Kind() != '"' {
			return nil, bad
		}
		tenant, err := parseTenant(entity.Unquote(e))
		if err != nil {
			return nil, err
		}
		tenants = append(tenants, tenant)
	}
	slices.Sort(tenants)
	return slices.Compact(tenants), nil
}

// freshness is how old what is published of tables is. What is newer was read from the logs of this node.
func (r *request) freshness(tables []string) (map[string]time.Duration, error) {
	made, err := r.s.lake.Freshness(r.c.Request.Context(), tables)
	if err != nil {
		return nil, err
	}
	ages := map[string]time.Duration{}
	for name, at := range made {
		ages[name] = max(0, time.Since(at))
	}
	return ages, nil
}

// resultFormat is the format that the request accepts.
func (r *request) resultFormat() (format.Format, error) {
	v, err := r.values()
	chosen := format.ForAccept(strings.Join(r.c.Request.Header["Accept"], ","))
	if chosen == format.JSON && v.Get("rows") == "objects" {
		chosen = format.Objects
	}
	return chosen, err
}
