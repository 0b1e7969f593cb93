package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"headless.ly/cmd/bench/load"
	"headless.ly/cmd/bench/rival"
)

// The commands under which the bench is one of its own children.
const (
	emptyCommand      = "serve-empty"
	pocketBaseCommand = "serve-pocketbase"
)

// dialect is how to speak to a kind of server.
type dialect struct {
	contacts      func(tenant string) string // the path of a tenant's contacts; a slash and an id follow for one of them
	count         func(tenant string) string // the path that answers how many there are
	createdStatus int                        // the status of a create
	idKey         string                     // what stands before the id in an answer
}

func productDialect() dialect {
	contacts := func(tenant string) string { return "/~" + tenant + "/Contact" }
	return dialect{
		contacts:      contacts,
		count:         func(tenant string) string { return contacts(tenant) + "?countOnly=true&strong=true" },
		createdStatus: 201,
		idKey:         `"$id":"`,
	}
}

// pocketBaseDialect has one tenant whatever it is called: PocketBase knows none.
func pocketBaseDialect() dialect {
	const path = "/api/collections/" + rival.Collection + "/records"
	return dialect{
		contacts:      func(string) string { return path },
		count:         func(string) string { return path + "?perPage=1&fields=id" },
		createdStatus: 200,
		idKey:         `"id":"`,
	}
}

// target is a server under measurement.
type target struct {
	*child
	dialect
	data         string       // its data folder; the product's only
	next         atomic.Int64 // number of the next contact to be created
	acknowledged atomic.Int64 // creates
}

// product starts the product on a new data folder, with more flags perhaps.
func (b *bench) product(ctx context.Context, flags ...string) (*target, error) {
	data, err := b.folder("product")
	if err != nil {
		return nil, err
	}
	c, err := b.start(ctx, "headlessly", append([]string{b.binary, "serve", "--addr", "127.0.0.1:0", "--data", data}, flags...)...)
	if err != nil {
		return nil, err
	}
	return &target{child: c, dialect: productDialect(), data: data}, nil
}

// pocketBase starts PocketBase on a new data folder; full: its commits wait for the disk.
func (b *bench) pocketBase(ctx context.Context, full bool) (*target, error) {
	data, err := b.folder("pocketbase")
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	argv := []string{self, pocketBaseCommand, data}
	if full {
		argv = append(argv, "full")
	}
	c, err := b.start(ctx, "PocketBase", argv...)
	if err != nil {
		return nil, err
	}
	return &target{child: c, dialect: pocketBaseDialect()}, nil
}

// empty starts the empty handler. It is spoken to as the product is.
func (b *bench) empty(ctx context.Context) (*target, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c, err := b.start(ctx, "empty handler", self, emptyCommand)
	if err != nil {
		return nil, err
	}
	return &target{child: c, dialect: productDialect()}, nil
}

// closed runs a closed loop against t. Targets are paused between their turns.
func (b *bench) closed(ctx context.Context, t *target, l load.Closed, script func(int) load.Script) (s load.Sample, err error) {
	syscall.Sync() // nobody pays for what another left to be written
	if err := t.resume(); err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, t.pause()) }()
	l.Addr = t.addr
	s, err = l.Run(ctx, script)
	if err != nil {
		err = fmt.Errorf("%w: %s said: %s", err, t.name, t.tail())
	}
	return s, err
}

// fill creates n contacts in one tenant and gives their ids, in no order.
func (b *bench) fill(ctx context.Context, t *target, tenant string, n int) ([]string, error) {
	var scripts []*creates
	l := load.Closed{Clients: 32, For: 10 * time.Minute, Requests: n}
	s, err := b.closed(ctx, t, l, func(int) load.Script {
		c := newCreates(t, []string{tenant})
		c.keep = true
		scripts = append(scripts, c)
		return c
	})
	if err == nil && s.Failed > 0 {
		err = s.Failure
	}
	if err != nil {
		return nil, fmt.Errorf("create %d contacts on %s: %w", n, t.name, err)
	}
	var ids []string
	for _, c := range scripts {
		ids = append(ids, c.ids...)
	}
	return ids, nil
}

// contactCount asks how many contacts the tenants have together.
func (t *target) contactCount(tenants []string) (int, error) {
	n := 0
	for _, tenant := range tenants {
		var answer struct {
			Count      int `json:"count"`      // the product's
			TotalItems int `json:"totalItems"` // PocketBase's
		}
		if err := t.ask(t.count(tenant), &answer); err != nil {
			return 0, err
		}
		n += answer.Count + answer.TotalItems
	}
	return n, nil
}

// askLimit bounds a question outside a measurement.
const askLimit = time.Minute

// ask gets a path and decodes the answer, which must be a 200, into v.
func (t *target) ask(path string, v any) error {
	conn, err := load.Dial(t.addr, time.Now().Add(askLimit))
	if err != nil {
		return fmt.Errorf("ask %s for %s: %w", t.name, path, err)
	}
	defer conn.Close()
	a, err := conn.Do(appendRequest(nil, request{method: "GET", path: path}))
	if err != nil {
		return fmt.Errorf("ask %s for %s: %w", t.name, path, err)
	}
	if a.Status != 200 {
		return fmt.Errorf("ask %s for %s: %w", t.name, path, unexpected(a, 200))
	}
	if err := json.Unmarshal(a.Body, v); err != nil {
		return fmt.Errorf("ask %s for %s: %w", t.name, path, err)
	}
	return nil
}
