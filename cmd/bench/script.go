package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"

	"headless.ly/cmd/bench/load"
)

// request is what is sent.
type request struct {
	method, path string
	body         []byte // JSON; nil: none
}

// appendRequest appends the request as it goes over the wire.
func appendRequest(b []byte, r request) []byte {
	b = append(b, r.method...)
	b = append(b, ' ')
	b = append(b, r.path...)
	b = append(b, " HTTP/1.1\r\nHost: localhost\r\n"...)
	if r.body != nil {
		b = append(b, "Content-Type: application/json\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(len(r.body)), 10)
		b = append(b, "\r\n"...)
	}
	b = append(b, "\r\n"...)
	return append(b, r.body...)
}

// unexpected is the error of an answer with another status than want.
func unexpected(a load.Answer, want int) error {
	return fmt.Errorf("status %d, want %d: %.300s", a.Status, want, a.Body)
}

// creates creates one contact after the other, in each of the tenants in turn.
type creates struct {
	target *target
	paths  []string // one a tenant
	words  *words
	keep   bool // the ids
	ids    []string

	body, wire []byte
}

func newCreates(t *target, tenants []string) *creates {
	c := &creates{target: t, words: newWords()}
	for _, tenant := range tenants {
		c.paths = append(c.paths, t.contacts(tenant))
	}
	return c
}

// Next implements load.Script.
func (c *creates) Next() []byte {
	n := int(c.target.next.Add(1) - 1)
	made := c.words.contact(n)
	return c.request(&made, c.paths[n%len(c.paths)])
}

func (c *creates) request(made *contact, path string) []byte {
	c.body = made.appendJSON(c.body[:0])
	c.wire = appendRequest(c.wire[:0], request{method: "POST", path: path, body: c.body})
	return c.wire
}

// Check implements load.Script.
func (c *creates) Check(a load.Answer) error {
	if a.Status != c.target.createdStatus {
		return unexpected(a, c.target.createdStatus)
	}
	id, err := c.target.id(a.Body)
	if err != nil {
		return err
	}
	if c.keep {
		c.ids = append(c.ids, string(id))
	}
	c.target.acknowledged.Add(1)
	return nil
}

// id finds an entity's id in an answer's body.
func (d dialect) id(body []byte) ([]byte, error) {
	_, rest, found := bytes.Cut(body, []byte(d.idKey))
	id, _, ended := bytes.Cut(rest, []byte{'"'})
	if !found || !ended || len(id) == 0 {
		return nil, fmt.Errorf("no id in %.300s", body)
	}
	return id, nil
}

// gets gets one of the ids after the other, at random.
type gets struct {
	path  string // of the collection
	ids   []string
	exact bool // the answer must have the id
	last  string
	wire  []byte
}

// Next implements load.Script.
func (g *gets) Next() []byte {
	g.last = g.ids[rand.IntN(len(g.ids))]
	g.wire = appendRequest(g.wire[:0], request{method: "GET", path: g.path + "/" + g.last})
	return g.wire
}

// Check implements load.Script.
func (g *gets) Check(a load.Answer) error {
	if a.Status != 200 {
		return unexpected(a, 200)
	}
	if g.exact && !bytes.Contains(a.Body, []byte(g.last)) {
		return fmt.Errorf("asked for %s, got %.300s", g.last, a.Body)
	}
	return nil
}

// question is a request made once and the judge of its answer.
type question struct {
	wire  []byte
	check func(load.Answer) error
}

// questions asks them in turn, over and over, beginning anywhere.
type questions struct {
	list []question
	at   int
}

// Next implements load.Script.
func (q *questions) Next() []byte {
	q.at = (q.at + 1) % len(q.list)
	return q.list[q.at].wire
}

// Check implements load.Script.
func (q *questions) Check(a load.Answer) error { return q.list[q.at].check(a) }
