package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/ingest"
	"headless.ly/lakehouse"
	"headless.ly/query"
)

// source is what events written through this door say of where they came from.
const source = "rest"

// do runs one command on the request's noun, with what the headers add to it, and gives its event.
func (r *request) do(cmd ingest.Command) (*lakehouse.Event, error) {
	var err error
	if cmd.IdempotencyKey, err = r.idempotencyKey(); err != nil {
		return nil, err
	}
	if cmd.IfVersion, err = r.ifVersion(); err != nil {
		return nil, err
	}
	if cmd.ID != "" && r.noun.Name == "Metric" && !noun.IsID(cmd.ID) { // its name is no unique field: the writer cannot look it up
		if cmd.ID, err = r.s.reader.Resolve(r.c.Request.Context(), r.tenant, r.noun, cmd.ID); err != nil {
			return nil, err
		}
	}
	cmd.Noun = r.noun.Name
	cmd.Source = source
	cmd.RequestID = r.requestID
	results, err := r.s.store.Do(r.c.Request.Context(), r.tenant, []ingest.Command{cmd})
	if err != nil {
		return nil, err
	}
	if err := results[0].Err; err != nil {
		return nil, r.precondition(err)
	}
	h := r.c.Writer.Header()
	if results[0].Replayed {
		h["Idempotent-Replay"] = []string{"true"}
	}
	e := results[0].Event
	h["X-Seq"] = []string{strconv.FormatInt(e.Seq, 10)}
	h["X-Consistency"] = []string{"strong"}
	return e, nil
}

// precondition lets a failed one repeat the entity tag as the client wrote it.
func (r *request) precondition(err error) error {
	p, ok := errors.AsType[*problem.Problem](err)
	if !ok || p.Code != problem.PreconditionFailed {
		return err
	}
	again := *p
	again.Message = fmt.Sprintf("the entity stands at version %d, which If-Match %s does not name", p.Version, cut(r.header("If-Match")))
	return &again
}

// create: POST /{noun}
func create(r *request) error {
	body, err := r.object()
	if err != nil {
		return err
	}
	e, err := r.do(ingest.Command{Op: ingest.OpCreate, Body: body})
	if err != nil {
		return err
	}
	return r.written(http.StatusCreated, e)
}

// update: PUT and PATCH /{noun}/{id}, both merging (interfaces.md 2.8)
func update(r *request) error {
	if err := r.can("update"); err != nil {
		return err
	}
	body, err := r.object()
	if err != nil {
		return err
	}
	e, err := r.do(ingest.Command{Op: ingest.OpUpdate, ID: r.id, Body: body})
	if err != nil {
		return err
	}
	return r.written(http.StatusOK, e)
}

// remove: DELETE /{noun}/{id}; 204 at /~tenant, 200 at /api (interfaces.md 2.9)
func remove(r *request) error {
	if err := r.can("delete"); err != nil {
		return err
	}
	e, err := r.do(ingest.Command{Op: ingest.OpDelete, ID: r.id})
	if err != nil {
		return err
	}
	if !r.api {
		r.c.Writer.WriteHeader(http.StatusNoContent)
		return nil
	}
	b := append([]byte(nil), `{"deleted":true,"type":`...)
	b = appendText(b, e.Entity)
	b = append(b, `,"id":`...)
	b = appendText(b, e.Target)
	r.sendData(http.StatusOK, append(b, '}'))
	return nil
}

// can refuses what the noun has switched off.
func (r *request) can(crud string) error {
	if r.noun.Can(crud) {
		return nil
	}
	return r.methodNotAllowed("GET, HEAD", "%s has no %s", r.noun.Name, crud)
}

// creatingVerb: POST /{noun}/{verb}, a verb on a new instance (interfaces.md 1.4)
func creatingVerb(r *request) error {
	v, known := r.noun.Verb(r.id)
	switch {
	case known:
		return r.runVerb(v, "", http.StatusCreated)
	case noun.IsID(r.id):
		return r.methodNotAllowed("GET, HEAD, PUT, PATCH, DELETE", "POST needs a verb behind the id: /%s/%s/{verb}", r.noun.Name, r.id)
	default:
		return r.unknownVerb(r.id)
	}
}

// act: POST /{noun}/{id}/{verb} and /{noun}/{id}/rollback
func act(r *request) error {
	if strings.EqualFold(r.action, "rollback") {
		return rollback(r)
	}
	v, known := r.noun.Verb(r.action)
	if !known {
		return r.unknownVerb(r.action)
	}
	return r.runVerb(v, r.id, http.StatusOK)
}

func (r *request) runVerb(v *noun.Verb, id string, status int) error {
	body, err := r.optionalObject()
	if err != nil {
		return err
	}
	e, err := r.do(ingest.Command{Op: ingest.OpVerb, ID: id, Verb: v.Action, Body: body})
	if err != nil {
		return err
	}
	return r.written(status, e)
}

// unknownVerb names the verbs there are; one that the noun has switched off is not allowed rather than unknown.
func (r *request) unknownVerb(action string) error {
	if slices.ContainsFunc(r.noun.Disabled, func(d string) bool { return strings.EqualFold(d, action) }) {
		return r.methodNotAllowed("GET, HEAD", "%s has no %s", r.noun.Name, strings.ToLower(action))
	}
	verbs := make([]string, 0, len(r.noun.Verbs))
	for i := range r.noun.Verbs {
		verbs = append(verbs, r.noun.Verbs[i].Action)
	}
	has := "it has none"
	if len(verbs) > 0 {
		has = "it has " + strings.Join(verbs, ", ")
	}
	p := problem.New(problem.NotFound, "%s has no verb %q; %s", r.noun.Name, cut(action), has)
	p.Type = r.noun.Name
	p.Supported = verbs
	return p
}

// rollback: POST /{noun}/{id}/rollback with {"asOf"}, {"to"} or {"version"} (interfaces.md 4.3)
func rollback(r *request) error {
	if err := r.can("update"); err != nil {
		return err
	}
	body, err := r.object()
	if err != nil {
		return err
	}
	target, err := rollbackTarget(body)
	if err != nil {
		return err
	}
	cmd := ingest.Command{Op: ingest.OpRollback, ID: r.id, Body: body, ToVersion: target.version}
	if target.instant != "" {
		// A read at that instant says what the text means, and that there is a state to return to.
		a, err := r.s.reader.Get(r.c.Request.Context(), r.tenant, r.noun, r.id, query.Options{AsOf: target.instant})
		if err != nil {
			return err
		}
		cmd.ToTime = *a.AsOf
	}
	e, err := r.do(cmd)
	if err != nil {
		return err
	}
	return r.written(http.StatusOK, e)
}

// target is where a rollback goes: one of the two.
type target struct {
	version int64
	instant string
}

// rollbackTarget reads the one target a rollback has. "to" may be an instant or a version.
func rollbackTarget(body entity.Object) (target, error) {
	var t target
	given := 0
	for _, name := range []string{"asOf", "to", "version"} {
		v, ok := body.Get(name)
		if !ok {
			continue
		}
		given++
		switch kind := v.Kind(); {
		case kind == '0' && name != "asOf":
			version, err := strconv.ParseInt(string(v), 10, 64)
			if err != nil || version < 1 {
				return t, badTarget(name, "a version is a whole number from 1 on")
			}
			t.version = version
		case kind == '"' && name != "version" && entity.Unquote(v) != "":
			t.instant = entity.Unquote(v)
		default:
			return t, badTarget(name, "this is no target of a rollback")
		}
	}
	if given != 1 {
		return t, problem.New(problem.InvalidBody, `say where to: {"asOf":"2026-01-31T12:00:00Z"}, {"to":…} or {"version":3}`)
	}
	return t, nil
}

func badTarget(field, message string) error {
	p := problem.New(problem.InvalidBody, "%s: %s", field, message)
	p.Field = field
	return p
}
