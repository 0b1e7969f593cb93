package api

import (
	"net/http"
	"strconv"

	"headless.ly/catalog/problem"
	"headless.ly/query"
)

// listQuery reads the list parameters and X-Min-Seq.
func (r *request) listQuery() (query.Query, error) {
	v, err := r.values()
	if err != nil {
		return query.Query{}, err
	}
	q, err := query.ParseValues(r.noun, v)
	if err != nil {
		return q, err
	}
	q.MinSeq, err = r.minSeq()
	return q, err
}

// list: GET /{noun}
func list(r *request) error {
	q, err := r.listQuery()
	if err != nil {
		return err
	}
	ctx, cancel := r.context()
	defer cancel()
	page, err := r.s.reader.List(ctx, r.tenant, r.noun, q)
	if err != nil {
		return err
	}
	r.sendPage(page, q.CountOnly)
	return nil
}

// getEntity: GET /{noun}/{id}
func getEntity(r *request) error {
	var o query.Options
	if r.c.Request.URL.RawQuery != "" {
		q, err := r.listQuery()
		if err != nil {
			return err
		}
		o = q.Options
	}
	var err error
	if o.MinSeq, err = r.minSeq(); err != nil {
		return err
	}
	a, err := r.s.reader.Get(r.c.Request.Context(), r.tenant, r.noun, r.id, o)
	if err != nil {
		return err
	}
	r.readAt(a.At)
	// The version is no tag of an answer that shows other entities too.
	if len(o.Include) == 0 {
		r.c.Writer.Header()["Etag"] = []string{`"` + strconv.FormatInt(a.Version, 10) + `"`}
		if r.matches(a.Version) {
			r.c.Writer.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	r.sendData(http.StatusOK, a.Document)
	return nil
}

// look: GET /{noun}/{id}/{history | events | diff | relationship}
func look(r *request) error {
	switch r.action {
	case "history", "events":
		return history(r)
	case "diff":
		return diff(r)
	}
	if _, ok := r.noun.Relationship(r.action); ok {
		return related(r)
	}
	if _, ok := r.noun.Verb(r.action); ok || r.action == "rollback" {
		return r.methodNotAllowed("POST", "%s is a verb: POST it", r.action)
	}
	p := problem.New(problem.NotFound, "%s has no relationship %q", r.noun.Name, cut(r.action))
	p.Type = r.noun.Name
	for _, rel := range r.noun.Relationships {
		p.Supported = append(p.Supported, rel.Name)
	}
	return p
}

// related: GET /{noun}/{id}/{relationship}, in the shape of a list
func related(r *request) error {
	rel, _ := r.noun.Relationship(r.action)
	target, ok := r.s.nouns.Get(rel.Target)
	if !ok {
		return problem.New(problem.Internal, "relationship %s.%s has no target", r.noun.Name, rel.Name)
	}
	v, err := r.values()
	if err != nil {
		return err
	}
	q, err := query.ParseValues(target, v)
	if err != nil {
		return err
	}
	if q.MinSeq, err = r.minSeq(); err != nil {
		return err
	}
	ctx, cancel := r.context()
	defer cancel()
	page, err := r.s.reader.Related(ctx, r.tenant, r.noun, r.id, r.action, q)
	if err != nil {
		return err
	}
	r.sendPage(page, q.CountOnly)
	return nil
}
