package ingest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/lakehouse"
)

// timeFormat is how every instant is written: ISO 8601, UTC, milliseconds.
const timeFormat = "2006-01-02T15:04:05.000Z"

// rollbackVerb is the verb of a rollback's event (ruling 2).
const rollbackVerb = "rollback"

// change is one command on its way to an event.
type change struct {
	*batch
	cmd   *Command
	plan  *plan
	verb  *noun.Verb // nil for create, update, delete, rollback
	name  string     // what happens, for hooks and the event: create, qualify …
	cause string     // the event whose hook runs this
	depth int        // hooks above this command

	body   entity.Object // without $ names
	before *subject      // nil on create
	at     int64
	fields entity.Object // the new state, without $ names
	create bool
}

// refuse builds a problem about one field of the request.
func refuse(code problem.Code, field, format string, args ...any) *problem.Problem {
	p := problem.New(code, format, args...)
	p.Field = field
	return p
}

// run executes one command on the batch. A refused command leaves the batch as it was.
func (b *batch) run(cmd *Command, cause string, depth int) Result {
	hash, replayed, err := b.repeated(cmd)
	if err != nil || replayed != nil {
		return Result{Event: replayed, Replayed: replayed != nil, Err: err}
	}
	c := &change{batch: b, cmd: cmd, cause: cause, depth: depth}
	e, err := c.do()
	if errors.Is(err, errUnchanged) {
		return Result{Unchanged: true}
	}
	if err != nil {
		return Result{Err: err}
	}
	if cmd.IdempotencyKey != "" {
		b.setKey(cmd.IdempotencyKey, keyed{hash: hash, seq: e.Seq, at: b.now})
	}
	if !b.trial {
		c.after(e)
	}
	return Result{Event: e}
}

// errUnchanged ends a command that would change nothing, and may.
var errUnchanged = errors.New("nothing would change")

// repeated looks whether the command's idempotency key was used before.
func (b *batch) repeated(cmd *Command) (hash [32]byte, e *lakehouse.Event, err error) {
	if cmd.IdempotencyKey == "" {
		return hash, nil, nil
	}
	hash = cmd.hash()
	k, ok, err := b.replay(cmd.IdempotencyKey)
	if err != nil || !ok {
		return hash, nil, err
	}
	if k.hash != hash {
		return hash, nil, problem.New(problem.IdempotencyConflict, "this Idempotency-Key was used for another request")
	}
	e, err = b.record(k.seq)
	return hash, e, err
}

// hash identifies what a command asks for; who asks, and when, does not count.
func (c *Command) hash() [32]byte {
	var b []byte
	to := c.ToTime
	if len(c.Body) > 0 { // the body says it, perhaps relative to now
		to = time.Time{}
	}
	for _, s := range []string{string(c.Op), c.Noun, c.ID, strings.ToLower(c.Verb), c.PreserveID, strconv.FormatInt(c.IfVersion, 10),
		strconv.FormatInt(c.ToVersion, 10), to.UTC().Format(time.RFC3339Nano), c.At.UTC().Format(time.RFC3339Nano)} {
		b = append(append(b, s...), 0)
	}
	if c.Key != "" {
		b = append(append(b, c.Key...), 0)
	}
	return sha256.Sum256(c.Body.Append(b))
}

// do runs the command up to its event.
func (c *change) do() (*lakehouse.Event, error) {
	for _, step := range []func() error{c.resolve, c.locate, c.beforeHooks, c.shape, c.validate} {
		if err := step(); err != nil {
			return nil, c.about(err)
		}
	}
	if c.cmd.Key != "" && c.before != nil && bytes.Equal(c.fields.Append(nil), c.before.doc.Fields().Append(nil)) {
		return nil, errUnchanged
	}
	claims, err := c.claims()
	if err != nil {
		return nil, c.about(err)
	}
	return c.commit(claims)
}

// about names the noun and the entity in a problem that does not yet.
func (c *change) about(err error) error {
	p, ok := errors.AsType[*problem.Problem](err)
	if !ok || p.Type != "" {
		return err
	}
	named := *p // a hook's problem may be shared
	named.Type, named.ID = c.cmd.Noun, c.cmd.ID
	return &named
}

// resolve finds the noun and the verb.
func (c *change) resolve() error {
	p, ok := c.w.plans[c.cmd.Noun]
	if !ok {
		return problem.New(problem.NotFound, "there is no entity type %q", c.cmd.Noun)
	}
	c.plan, c.name = p, string(c.cmd.Op)
	c.create = c.cmd.Op == OpCreate
	switch c.cmd.Op {
	case OpVerb:
		v, ok := p.noun.Verb(c.cmd.Verb)
		if !ok {
			return c.noVerb()
		}
		c.verb, c.name = v, v.Action
		c.create = c.cmd.ID == ""
	case OpCreate, OpUpdate, OpDelete:
		if !p.noun.Can(c.name) {
			return problem.New(problem.MethodNotAllowed, "%s does not allow %s", p.noun.Name, c.name)
		}
	case OpRollback:
		if !p.noun.Can("update") {
			return problem.New(problem.MethodNotAllowed, "%s does not allow rollback", p.noun.Name)
		}
	default:
		return fmt.Errorf("unknown operation %q", c.cmd.Op)
	}
	c.body = c.cmd.Body.Fields()
	p.rename(&c.body)
	if p.noun.Name == "ApiKey" { // the prefix is generated, never supplied (interfaces.md 8.3)
		c.body.Delete("keyPrefix")
	}
	return nil
}

func (c *change) noVerb() error {
	p := problem.New(problem.NotFound, "%s has no verb %q", c.plan.noun.Name, c.cmd.Verb)
	for _, v := range c.plan.noun.Verbs {
		p.Supported = append(p.Supported, v.Action)
	}
	return p
}

// locate finds the entity a command is about, and its time.
func (c *change) locate() (err error) {
	if c.create && c.cmd.Key != "" {
		return c.match()
	}
	if !c.create {
		if err := c.find(); err != nil {
			return err
		}
		if c.before.deleted && c.cmd.Op != OpRollback {
			return c.notFound()
		}
		if v := c.cmd.IfVersion; v != 0 && v != c.before.version {
			p := problem.New(problem.PreconditionFailed, "the entity stands at version %d, not %d", c.before.version, v)
			p.Version = c.before.version
			return p
		}
	}
	if c.cmd.Op == OpRollback {
		if err := c.restore(); err != nil {
			return err
		}
	}
	c.at, err = c.tick(c.cmd.At)
	return err
}

// match looks for the entity that has the value of the key field already. If there is one, the command updates it.
func (c *change) match() (err error) {
	i := slices.IndexFunc(c.plan.uniques, func(f *noun.Field) bool { return f.Name == c.cmd.Key })
	if i < 0 {
		return refuse(problem.InvalidRequest, "key", "%s has no unique field %q", c.plan.noun.Name, c.cmd.Key)
	}
	field := c.plan.uniques[i]
	value, _ := c.body.Get(field.Name)
	if entity.IsNull(value) {
		p := problem.New(problem.Validation, "%s failed validation", c.plan.noun.Name)
		p.Details = []problem.Detail{{Field: field.Name, Message: "required"}}
		return p
	}
	if c.at, err = c.tick(c.cmd.At); err != nil {
		return err
	}
	stored, wrong := canonical(field, value)
	if wrong != "" {
		return nil // validation says so
	}
	text := uniqueText(entity.Object{{Name: field.Name, Value: stored}}, field.Name)
	id, err := c.holder(claim{c.plan.noun.Name, field.Name, text})
	if err != nil || id == "" {
		return err
	}
	if !c.plan.noun.Can("update") {
		return problem.New(problem.MethodNotAllowed, "%s does not allow update", c.plan.noun.Name)
	}
	c.before, err = c.load(id)
	if err == nil && c.before == nil {
		err = fmt.Errorf("%s %q is held by %s, which is not there", c.plan.noun.Name, text, id)
	}
	c.create, c.name = false, string(OpUpdate)
	return err
}

func (c *change) notFound() error {
	return problem.New(problem.NotFound, "there is no %s %q", c.plan.noun.Name, c.cmd.ID)
}

// find resolves the command's key: an id as it is, anything else on the unique fields first (ruling 8).
func (c *change) find() error {
	key := c.cmd.ID
	if !noun.IsID(key) {
		for _, f := range c.plan.uniques {
			id, err := c.holder(claim{c.plan.noun.Name, f.Name, key})
			if err != nil {
				return err
			}
			if id != "" {
				key = id
				break
			}
		}
	}
	s, err := c.load(key)
	if err != nil {
		return err
	}
	if s == nil || s.noun != c.plan.noun.Name {
		return c.notFound()
	}
	c.before = s
	return nil
}

// shape makes the new state from the old one, the body and the verb's effects.
func (c *change) shape() error {
	switch {
	case c.cmd.Op == OpDelete:
		c.fields = c.before.doc.Fields()
		return nil
	case c.cmd.Op == OpRollback:
		c.fields = c.body
		return c.plan.guardTransition(c.before, c.fields)
	case c.create:
		c.plan.prepare(&c.body)
		c.fields = make(entity.Object, 0, len(c.body)+4)
	default:
		c.fields = c.before.doc.Fields()
	}
	if c.verb == nil || c.verb.Merges {
		for _, m := range c.body {
			c.fields.Set(m.Name, m.Value)
		}
	}
	if c.create {
		c.plan.applyDefaults(&c.fields, c.body)
	}
	if c.verb != nil {
		c.plan.applyEffects(c.verb, &c.fields, c.body, c.at)
	}
	return c.plan.guardTransition(c.before, c.fields)
}

// restore makes the fields of a past state what the command brings; later fields go (4.3).
func (c *change) restore() error {
	var r *record
	var err error
	if c.w.log != nil && c.cmd.ToVersion > 0 {
		r, err = c.w.log.getRecord(sqlEventAtVersion, c.before.row, c.cmd.ToVersion)
	} else if c.w.log != nil && !c.cmd.ToTime.IsZero() {
		r, err = c.w.log.eventAt(c.before.row, c.cmd.ToTime.UnixMilli())
	}
	if err != nil {
		return err
	}
	target := (*lakehouse.Event)(nil)
	if r != nil {
		target = &r.Event
	} else if c.before.row <= c.w.trimmed.Load() {
		at := c.cmd.ToTime.UnixMilli()
		if target, err = c.w.olderState(c.before.noun, c.before.id, c.before.row, c.cmd.ToVersion, at); err != nil {
			return err
		}
	}
	for _, p := range c.records { // versions written by this batch
		if p.row == c.before.row && (p.Version == c.cmd.ToVersion || c.cmd.ToVersion == 0 && p.Timestamp <= c.cmd.ToTime.UnixMilli()) {
			target = &p.Event
		}
	}
	if target == nil {
		return problem.New(problem.NotFound, "%s %q has no state there", c.plan.noun.Name, c.cmd.ID)
	}
	doc, err := entity.ParseStored(target.Data)
	if err != nil {
		return err
	}
	if _, deleted := doc.Get("$deleted"); deleted {
		return problem.New(problem.NotFound, "%s %q was deleted there", c.plan.noun.Name, c.cmd.ID)
	}
	c.body = doc.Fields()
	return nil
}

// eventAt finds an entity's last event at or before a time.
func (c *conn) eventAt(row, ms int64) (r *record, err error) {
	const query = "SELECT " + logColumns + " FROM log WHERE row = ? AND at <= ? ORDER BY seq DESC LIMIT 1"
	return c.getRecord(query, row, ms)
}

// validate checks and canonicalizes what the command brought, and puts the fields in order.
func (c *change) validate() error {
	if c.cmd.Op == OpDelete {
		return nil
	}
	var old entity.Object
	if c.before != nil {
		old = c.before.doc
	}
	details, err := c.plan.check(&c.fields, old, c.cmd.Op == OpRollback, func(id, noun string) (bool, error) { return c.exists(id, noun) })
	if err != nil {
		return err
	}
	if len(details) > 0 {
		p := problem.New(problem.Validation, "%s failed validation", c.plan.noun.Name)
		p.Details = details
		return p
	}
	return nil
}

// claims works out which unique values the change takes and gives back, and refuses a value somebody else holds.
func (c *change) claims() (map[claim]bool, error) {
	if len(c.plan.uniques) == 0 {
		return nil, nil
	}
	out := map[claim]bool{} // true: take, false: give back
	for _, f := range c.plan.uniques {
		var old, now string
		if c.before != nil && !c.before.deleted {
			old = uniqueText(c.before.doc, f.Name)
		}
		if c.cmd.Op != OpDelete {
			now = uniqueText(c.fields, f.Name)
		}
		if old == now {
			continue
		}
		if old != "" {
			out[claim{c.plan.noun.Name, f.Name, old}] = false
		}
		if now == "" {
			continue
		}
		k := claim{c.plan.noun.Name, f.Name, now}
		holder, err := c.holder(k)
		if err != nil {
			return nil, err
		}
		if holder != "" && (c.before == nil || holder != c.before.id) {
			p := refuse(problem.Conflict, f.Name, "another %s has this %s", c.plan.noun.Name, f.Name)
			p.ExistingID = holder
			return nil, p
		}
		out[k] = true
	}
	return out, nil
}

// uniqueText is a unique field's value as text; empty for none.
func uniqueText(o entity.Object, field string) string {
	v, _ := o.Get(field)
	if v.Kind() == '"' {
		return entity.Unquote(v)
	}
	if entity.IsNull(v) {
		return ""
	}
	return string(v)
}

// commit mints the event and puts it on the batch.
func (c *change) commit(claims map[claim]bool) (*lakehouse.Event, error) {
	s := &subject{state: state{noun: c.plan.noun.Name, seq: c.head + 1, version: 1, deleted: c.cmd.Op == OpDelete}}
	if c.before == nil {
		s.row = s.seq
		id, err := c.mint()
		if err != nil {
			return nil, err
		}
		s.id = id
	} else {
		s.id, s.row, s.version = c.before.id, c.before.row, c.before.version+1
	}
	s.doc = c.document(s)
	s.data = s.doc.Append(make([]byte, 0, 512))
	r := c.event(s)
	c.add(r, s, c.before)
	for k, take := range claims {
		if take {
			c.setClaim(k, s.id)
		} else {
			c.setClaim(k, "")
		}
	}
	return &r.Event, nil
}

// mint finds an unused id.
func (c *change) mint() (string, error) {
	if id := c.cmd.PreserveID; id != "" {
		used, err := c.taken(id)
		if err != nil {
			return "", err
		}
		if used {
			p := refuse(problem.Conflict, "$id", "the id is taken")
			p.Type, p.ExistingID = c.plan.noun.Name, id
			return "", p
		}
		return id, nil
	}
	for {
		id := c.plan.noun.NewID()
		if used, err := c.taken(id); err != nil || !used {
			return id, err
		}
	}
}

// document puts the meta fields before the fields.
func (c *change) document(s *subject) entity.Object {
	now := entity.Quote(time.UnixMilli(c.at).UTC().Format(timeFormat))
	created, by := now, c.cmd.Actor
	if c.before != nil {
		created, _ = c.before.doc.Get("$createdAt")
		by = c.before.doc.Text("$createdBy")
	}
	o := make(entity.Object, 0, len(c.fields)+7)
	o = append(o,
		entity.Member{Name: "$type", Value: c.plan.typeName},
		entity.Member{Name: "$id", Value: entity.Quote(s.id)},
		entity.Member{Name: "$version", Value: strconv.AppendInt(nil, s.version, 10)},
		entity.Member{Name: "$createdAt", Value: created})
	if by != "" {
		o = append(o, entity.Member{Name: "$createdBy", Value: entity.Quote(by)})
	}
	o = append(o, entity.Member{Name: "$updatedAt", Value: now})
	if s.deleted {
		o = append(o, entity.Member{Name: "$deleted", Value: jsontext.Value("true")})
	}
	return append(o, c.fields...)
}

// event describes the change.
func (c *change) event(s *subject) *record {
	r := &record{row: s.row, Event: lakehouse.Event{
		Seq: s.seq, ID: c.w.ids.New(s.seq), Kind: lakehouse.KindMutation, Type: c.eventType(), Entity: s.noun, Target: s.id, Verb: c.name,
		Actor: c.cmd.Actor, Timestamp: c.at, Version: s.version, Data: s.data, Source: c.cmd.Source, RequestID: c.cmd.RequestID, Cause: c.cause,
	}}
	if c.plan.analytics {
		r.Kind = lakehouse.KindAnalytics
		if t := c.fields.Text("type"); t != "" {
			r.Type = t
		}
	}
	if c.before != nil {
		old := c.before.doc.Fields()
		r.Before = old.Append(nil)
		if c.cmd.Op != OpDelete {
			r.Changes = changes(old, c.fields)
		}
	}
	switch {
	case c.cmd.Op == OpRollback:
		r.Input = c.rollbackInput()
	case c.verb != nil && len(c.body) > 0:
		r.Input = c.body.Append(nil)
	}
	return r
}

// eventType is the noun and the past tense it declares (rulings 1 and 2).
func (c *change) eventType() string {
	switch {
	case c.verb != nil:
		return c.plan.noun.Name + "." + c.verb.Declared
	case c.create:
		return c.plan.noun.Name + ".Created"
	case c.cmd.Op == OpDelete:
		return c.plan.noun.Name + ".Deleted"
	}
	return c.plan.noun.Name + ".Updated"
}

func (c *change) rollbackInput() []byte {
	if c.cmd.ToVersion > 0 {
		return fmt.Appendf(nil, `{"rollbackTo":%d}`, c.cmd.ToVersion)
	}
	return fmt.Appendf(nil, `{"rollbackTo":"%s"}`, c.cmd.ToTime.UTC().Format(timeFormat))
}

// changes lists the fields that differ; nil where none does.
func changes(old, now entity.Object) []byte {
	var list changeList
	for _, m := range now {
		from, _ := old.Get(m.Name)
		list.put(m.Name, from, m.Value)
	}
	for _, m := range old {
		if _, still := now.Get(m.Name); !still {
			list.put(m.Name, m.Value, nil)
		}
	}
	return list.text()
}

// changeList is an event's changes as they are stored.
type changeList []byte

// put appends a field unless its values are the same.
func (b *changeList) put(name string, from, to jsontext.Value) {
	if bytes.Equal(from, to) {
		return
	}
	start := byte('[')
	if len(*b) > 0 {
		start = ','
	}
	out := append(*b, start)
	out = append(append(out, `{"field":`...), entity.Quote(name)...)
	out = append(append(out, `,"from":`...), orNull(from)...)
	out = append(append(out, `,"to":`...), orNull(to)...)
	*b = append(out, '}')
}

// text is the JSON array; nil where nothing was put.
func (b changeList) text() []byte {
	if b == nil {
		return nil
	}
	return append(b, ']')
}

func orNull(v jsontext.Value) jsontext.Value {
	if v == nil {
		return jsontext.Value("null")
	}
	return v
}

// beforeHooks lets the hooks see, refuse and complete the command.
func (c *change) beforeHooks() error {
	hooks := c.w.hooks(phaseBefore, c.plan.noun.Name, c.name)
	for _, h := range hooks {
		call := BeforeCall{Noun: c.plan.noun.Name, Verb: c.name, Body: c.body.Clone(), Reader: &Turn{batch: c.batch, depth: c.depth + 1, readOnly: true}}
		if c.before != nil {
			call.Entity = c.before.doc.Clone()
		}
		began := time.Now()
		more, err := runBefore(c.w.ctx, h, call)
		c.noteDuration(began)
		if err != nil {
			if _, ok := errors.AsType[*problem.Problem](err); ok || isStorage(err) {
				return err
			}
			p := problem.New(problem.HookRejected, "%s", err.Error())
			p.Cause = err
			return p
		}
		given := more.Fields()
		c.plan.rename(&given)
		for _, m := range given {
			c.body.Set(m.Name, m.Value)
		}
	}
	return nil
}

// after runs the after-hooks of an event, each taking back its own work if it fails.
func (c *change) after(e *lakehouse.Event) {
	for _, h := range c.w.hooks(phaseAfter, c.plan.noun.Name, c.name) {
		t := &Turn{batch: c.batch, cause: e.ID, depth: c.depth + 1, actor: c.cmd.Actor}
		began := time.Now()
		err := c.guarded(func() error { return runAfter(c.w.ctx, h, e, t) })
		c.noteDuration(began)
		if err != nil {
			c.w.cfg.Logger.Warn("after-hook failed", "tenant", c.w.tenant, "hook", h.name, "event", e.ID, "error", err)
			n := len(c.failures)
			c.onUndo(func() { c.failures = c.failures[:n] })
			c.failures = append(c.failures, failure{event: e.Seq, hook: h.name, message: err.Error()})
		}
	}
}

// noteDuration ends the batch behind a command whose hooks are slow (correctness 2).
func (c *change) noteDuration(began time.Time) {
	if time.Since(began) > slowHook {
		c.slow = true
	}
}
