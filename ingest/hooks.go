package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/lakehouse"
)

const (
	// maxHookDepth bounds chains of hooks that write (interfaces.md 3.9).
	maxHookDepth = 8
	// slowHook is how long a command's hooks may run before its batch is committed behind it.
	slowHook = 5 * time.Millisecond
)

type phase uint8

const (
	phaseBefore phase = iota
	phaseAfter
)

// BeforeCall is what a before-hook sees: the entity as it stands and what the command brings.
type BeforeCall struct {
	Noun   string
	Verb   string        // create, update, delete, rollback, or a declared verb
	Entity entity.Object // the stored document; nil when the command creates
	Body   entity.Object // the command's members so far, earlier hooks' additions included; on rollback the state restored
	Reader *Turn         // reads the tenant as the command sees it; refuses to write
}

// Before validates, completes or refuses a command: members it returns are set in the body; an error refuses the command
// (HookRejected with its text, or the error itself if it is a problem) and nothing is written. It runs in the writer's
// turn: every other write of the tenant waits for it.
type Before func(ctx context.Context, call BeforeCall) (entity.Object, error)

// After sees an event before it is committed and may write through turn: its writes join the same transaction, as events
// with a cause. An error takes back the hook's own writes and is kept in the log's list of failures; the event stands.
type After func(ctx context.Context, e *lakehouse.Event, turn *Turn) error

// hook is one registration.
type hook struct {
	name   string
	noun   string // "*": every noun
	verb   string // "*": every verb
	phase  phase
	before Before
	after  After
}

// Hooks is a set of registered hooks, run in order of registration. The zero value is ready; it is safe for concurrent use.
type Hooks struct {
	mu    sync.RWMutex
	hooks []*hook // guarded by mu; replaced, never changed
}

// Before registers a before-hook for a noun and a verb; "*" stands for any, and update includes rollback. The name appears in errors. The returned
// function removes it.
func (h *Hooks) Before(name, noun, verb string, fn Before) (remove func()) {
	return h.add(&hook{name: name, noun: noun, verb: strings.ToLower(verb), phase: phaseBefore, before: fn})
}

// After registers an after-hook likewise.
func (h *Hooks) After(name, noun, verb string, fn After) (remove func()) {
	return h.add(&hook{name: name, noun: noun, verb: strings.ToLower(verb), phase: phaseAfter, after: fn})
}

func (h *Hooks) add(k *hook) func() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hooks = append(slices.Clone(h.hooks), k)
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.hooks = slices.DeleteFunc(slices.Clone(h.hooks), func(x *hook) bool { return x == k })
	}
}

// match gives the hooks of a phase for a noun's verb. A rollback is an update as well (interfaces.md 4.3).
func (h *Hooks) match(p phase, noun, verb string) []*hook {
	if h == nil {
		return nil
	}
	h.mu.RLock()
	all := h.hooks
	h.mu.RUnlock()
	var out []*hook
	for _, k := range all {
		fits := k.verb == "*" || k.verb == strings.ToLower(verb) || verb == rollbackVerb && k.verb == string(OpUpdate)
		if fits && k.phase == p && (k.noun == "*" || k.noun == noun) {
			out = append(out, k)
		}
	}
	return out
}

// runBefore calls a hook and turns a panic into a refusal.
func runBefore(ctx context.Context, h *hook, call BeforeCall) (more entity.Object, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("hook %s panicked: %v", h.name, r)
		}
	}()
	return h.before(ctx, call)
}

func runAfter(ctx context.Context, h *hook, e *lakehouse.Event, t *Turn) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("hook %s panicked: %v", h.name, r)
		}
	}()
	return h.after(ctx, e, t)
}

// ErrReadOnly is returned to a before-hook that tries to write.
var ErrReadOnly = errors.New("a before-hook cannot write")

// ErrHookDepth is returned to a hook whose writes have called hooks too often.
var ErrHookDepth = fmt.Errorf("hooks call each other more than %d deep", maxHookDepth)

// ErrInTurn is returned to a hook that uses the Store, with its own context, where only its Turn can answer: the Store would
// wait for the hook.
var ErrInTurn = errors.New("a hook writes through its turn, not through the store")

// turnKey marks the context of hooks.
type turnKey struct{}

// Turn is a hook's hold on the writer's turn: it sees the tenant as it stands behind the commands before it. It is valid
// until the hook returns and is not safe for concurrent use.
type Turn struct {
	batch    *batch
	cause    string
	actor    string
	depth    int
	readOnly bool
}

// Do runs a command at once, re-entrantly: no queue, no waiting. Its event carries the hook's event as cause.
func (t *Turn) Do(cmd Command) Result {
	if t.readOnly {
		return Result{Err: ErrReadOnly}
	}
	if t.depth > maxHookDepth {
		return Result{Err: ErrHookDepth}
	}
	if cmd.Actor == "" {
		cmd.Actor = t.actor
	}
	cmd.Source, cmd.At = "hook", time.Time{}
	return t.batch.run(&cmd, t.cause, t.depth)
}

// Get reads a live entity's document by $id or unique value; problem.NotFound where there is none.
func (t *Turn) Get(nounName, key string) (entity.Object, error) {
	c := &change{batch: t.batch, cmd: &Command{Op: OpUpdate, Noun: nounName, ID: key}}
	p, ok := t.batch.w.plans[nounName]
	if !ok {
		return nil, problem.New(problem.NotFound, "there is no entity type %q", nounName)
	}
	c.plan = p
	if err := c.find(); err != nil {
		return nil, err
	}
	if c.before.deleted {
		return nil, c.notFound()
	}
	return c.before.doc.Clone(), nil
}

// Noun gives the declaration of a noun the store knows.
func (t *Turn) Noun(name string) (*noun.Noun, bool) {
	p, ok := t.batch.w.plans[name]
	if !ok {
		return nil, false
	}
	return p.noun, true
}
