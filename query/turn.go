package query

import "context"

// turn is held by one caller at a time; the others wait for it.
type turn chan struct{}

func newTurn() turn {
	t := make(turn, 1)
	t.done()
	return t
}

// wait takes the turn, or gives the context's error.
func (t turn) wait(ctx context.Context) error {
	select {
	case <-t:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// done gives the turn back.
func (t turn) done() { t <- struct{}{} }
