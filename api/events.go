package api

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/catalog/problem"
	"headless.ly/query"
)

// maxEvents is the largest page of events, and the usual one of a history.
const maxEvents = 1000

// listEvents: GET /~tenant/events
func listEvents(r *request) error {
	v, err := r.values()
	if err != nil {
		return err
	}
	q, err := r.eventQuery(v)
	if err != nil {
		return err
	}
	return r.sendEvents(q, v)
}

func (r *request) eventQuery(v url.Values) (query.EventQuery, error) {
	q, err := query.ParseEventValues(v)
	if err != nil {
		return q, err
	}
	q.MinSeq, err = r.minSeq()
	return q, err
}

func (r *request) sendEvents(q query.EventQuery, v url.Values) error {
	form, err := r.s.eventForm(v)
	if err != nil {
		return err
	}
	ctx, cancel := r.context()
	defer cancel()
	page, err := r.s.reader.Events(ctx, r.tenant, q)
	if err != nil {
		return err
	}
	r.readAt(page.At)
	size := 256
	for _, e := range page.Events {
		size += 512 + 2*len(e.Data) + len(e.Before) + len(e.Changes) + len(e.Input)
	}
	b := make([]byte, 0, size)
	b = append(b, '{')
	if r.api {
		b = append(b, `"success":true,`...)
	}
	b = append(b, `"events":[`...)
	for i, e := range page.Events {
		if i > 0 {
			b = append(b, ',')
		}
		b = form(b, r.tenant, e)
	}
	b = append(b, ']')
	if page.Cursor != "" {
		b = append(b, `,"cursor":`...)
		b = appendText(b, page.Cursor)
	}
	b = append(b, `,"hasMore":`...)
	if page.HasMore {
		b = append(b, "true}"...)
	} else {
		b = append(b, "false}"...)
	}
	r.send(http.StatusOK, b)
	return nil
}

// getEvent: GET /~tenant/events/{x}: evt_… is an event of the log, anything else an instance of the noun Event
func getEvent(r *request) error {
	if !strings.HasPrefix(r.id, "evt_") {
		if err := r.asEvent(); err != nil {
			return err
		}
		return getEntity(r)
	}
	v, err := r.values()
	if err != nil {
		return err
	}
	form, err := r.s.eventForm(v)
	if err != nil {
		return err
	}
	e, err := r.s.reader.Event(r.c.Request.Context(), r.tenant, r.id)
	if err != nil {
		return err
	}
	r.send(http.StatusOK, form(nil, r.tenant, e))
	return nil
}

// createEvent: POST /~tenant/events creates an instance of the noun Event
func createEvent(r *request) error {
	if err := r.asEvent(); err != nil {
		return err
	}
	return create(r)
}

// asEvent makes the request one about the noun Event.
func (r *request) asEvent() error {
	var err error
	r.noun, err = r.s.resolveNoun("Event")
	return err
}

// history: GET /{noun}/{id}/history and /{id}/events, in the shape of events (ruling 12)
func history(r *request) error {
	v, err := r.values()
	if err != nil {
		return err
	}
	q, err := r.eventQuery(v)
	if err != nil {
		return err
	}
	if !v.Has("limit") {
		q.Limit = maxEvents
	}
	q.Noun = r.noun.Name
	if q.Target, err = r.s.reader.Resolve(r.c.Request.Context(), r.tenant, r.noun, r.id); err != nil {
		return err
	}
	return r.sendEvents(q, v)
}

// diff: GET /{noun}/{id}/diff?from=…&to=… (interfaces.md 4.3)
func diff(r *request) error {
	v, err := r.values()
	if err != nil {
		return err
	}
	form, err := r.s.eventForm(v)
	if err != nil {
		return err
	}
	ctx, cancel := r.context()
	defer cancel()
	d, err := r.s.reader.Diff(ctx, r.tenant, r.noun, r.id, v.Get("from"), v.Get("to"))
	if err != nil {
		return err
	}
	r.readAt(d.At)
	b := append([]byte(nil), `{"before":`...)
	b = appendValue(b, d.Before)
	b = append(b, `,"after":`...)
	b = appendValue(b, d.After)
	b = append(b, `,"events":[`...)
	for i, e := range d.Events {
		if i > 0 {
			b = append(b, ',')
		}
		b = form(b, r.tenant, e)
	}
	b = append(b, `],"changes":[`...)
	for i, change := range d.Changes {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"field":`...)
		b = appendText(b, change.Field)
		b = append(b, `,"from":`...)
		b = appendValue(b, change.From)
		b = append(b, `,"to":`...)
		b = appendValue(b, change.To)
		b = append(b, '}')
	}
	r.sendData(http.StatusOK, append(b, "]}"...))
	return nil
}

// appendValue appends a JSON value; none is null.
func appendValue(b []byte, v jsontext.Value) []byte {
	if len(v) == 0 {
		return append(b, "null"...)
	}
	return append(b, v...)
}

// metrics: GET /~tenant/metrics lists Metric entities if a parameter is one of their fields; the business snapshot that
// stands here otherwise (interfaces.md 1.1) does not exist yet.
func metrics(r *request) error {
	v, err := r.values()
	if err != nil {
		return err
	}
	if r.noun, err = r.s.resolveNoun("Metric"); err != nil {
		return err
	}
	for name := range v {
		name, _, _ = strings.Cut(name, "[")
		if _, ok := r.noun.Column(name); ok {
			return list(r)
		}
	}
	return problem.New(problem.NotFound, "this server has no business metrics yet; Metric entities are at /~%s/Metric", r.tenant)
}
