package query

import (
	"context"

	lru "github.com/hashicorp/golang-lru/v2"

	"headless.ly/query/duck"
	"headless.ly/query/engine"
)

// What is remembered of statements: dashboards send the same ones over and over.
const (
	maxKnown        = 1024
	maxKnownBytes   = 8 << 10 // of a statement's text
	maxKnownColumns = 100
)

// known remembers what was found out about statements: that they are admitted, and which columns they give. It holds for all
// tenants, whose tables are declared alike; the operators' have one column more. It is safe for concurrent use.
type known struct {
	admitted *lru.Cache[string, admitted]
	columns  *lru.Cache[knownShape, []duck.Column]
}

type knownShape struct {
	text      string
	operators bool
}

func newKnown() *known {
	a, err := lru.New[string, admitted](maxKnown)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	c, err := lru.New[knownShape, []duck.Column](maxKnown)
	if err != nil {
		panic(err)
	}
	return &known{admitted: a, columns: c}
}

// admit admits a statement as the vocabulary does.
func (k *known) admit(ctx context.Context, conn *engine.Conn, words vocabulary, text string) (admitted, error) {
	if a, ok := k.admitted.Get(text); ok {
		return a, nil
	}
	a, err := words.admit(ctx, conn, text)
	if err == nil && len(text) <= maxKnownBytes {
		k.admitted.Add(text, a)
	}
	return a, err
}

// describe gives the columns of a statement, which must not be changed. Parameters may decide them.
func (k *known) describe(ctx context.Context, conn *engine.Conn, a admitted, q SQL, operators bool) ([]duck.Column, error) {
	key := knownShape{a.text, operators}
	if columns, ok := k.columns.Get(key); ok && len(q.Args)+len(q.Named) == 0 {
		return columns, nil
	}
	columns, err := describe(ctx, conn, a, q)
	if err == nil && len(q.Args)+len(q.Named) == 0 && len(a.text) <= maxKnownBytes && len(columns) <= maxKnownColumns {
		k.columns.Add(key, columns)
	}
	return columns, err
}
