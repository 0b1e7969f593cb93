package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"headless.ly/cmd/bench/load"
)

// figure is what one line of a table says.
type figure struct {
	perSecond float64
	p50, p99  time.Duration
}

func newFigure(s load.Sample) figure {
	return figure{perSecond: s.PerSecond(), p50: s.Quantile(0.50), p99: s.Quantile(0.99)}
}

// median takes the median of each column by itself.
func median(rounds []figure) figure {
	return figure{
		perSecond: middle(rounds, func(f figure) float64 { return f.perSecond }),
		p50:       middle(rounds, func(f figure) time.Duration { return f.p50 }),
		p99:       middle(rounds, func(f figure) time.Duration { return f.p99 }),
	}
}

// middle is the lower middle of a column, 0 of an empty one.
func middle[E any, T cmp.Ordered](rounds []E, column func(E) T) T {
	var values []T
	for _, f := range rounds {
		values = append(values, column(f))
	}
	slices.Sort(values)
	if len(values) == 0 {
		var zero T
		return zero
	}
	return values[(len(values)-1)/2]
}

// report prints figures and keeps what they come to.
type report struct {
	out   io.Writer
	short bool // figures are not judged

	held   int      // bars
	missed []string // bars
	wrong  []string // answers
}

// title begins a section.
func (r *report) title(format string, args ...any) {
	fmt.Fprintf(r.out, "\n"+format+"\n", args...)
}

// head is the head of a table.
func (r *report) head(first string) {
	fmt.Fprintf(r.out, "  %-58s %11s %10s %10s\n", first, "requests/s", "p50 ms", "p99 ms")
}

// line is a line of a table; note may be empty.
func (r *report) line(name string, f figure, note string) {
	fmt.Fprintf(r.out, "  %-58s %11.0f %10s %10s  %s\n", name, f.perSecond, ms(f.p50), ms(f.p99), note)
}

// bar says whether the figures that the sentence names hold.
func (r *report) bar(held bool, format string, args ...any) {
	sentence := fmt.Sprintf(format, args...)
	switch {
	case r.short:
		fmt.Fprintf(r.out, "  not judged: %s\n", sentence)
	case held:
		fmt.Fprintf(r.out, "  held: %s\n", sentence)
		r.held++
	default:
		fmt.Fprintf(r.out, "  falls short: %s\n", sentence)
		r.missed = append(r.missed, sentence)
	}
}

// check takes note of a sample's wrong answers.
func (r *report) check(what string, s load.Sample) {
	if s.Failed > 0 {
		r.fault("%s: %d wrong answers of %d, the first: %v", what, s.Failed, s.Failed+len(s.Latencies), s.Failure)
	}
}

// fault takes note of something that is wrong whatever the figures are.
func (r *report) fault(format string, args ...any) {
	sentence := fmt.Sprintf(format, args...)
	fmt.Fprintf(r.out, "  wrong: %s\n", sentence)
	r.wrong = append(r.wrong, sentence)
}

// end prints the last line; errShort if it is not a good one.
func (r *report) end() error {
	fmt.Fprintln(r.out)
	if bad := slices.Concat(r.wrong, r.missed); len(bad) > 0 {
		fmt.Fprintf(r.out, "falls short: %s\n", strings.Join(bad, "; "))
		return errShort
	}
	if r.held == 0 {
		fmt.Fprintln(r.out, "held: every answer was right, no figure was judged")
		return nil
	}
	fmt.Fprintf(r.out, "held: all %d bars, and every answer was right\n", r.held)
	return nil
}

// ms is a duration in milliseconds.
func ms(d time.Duration) string {
	return fmt.Sprintf("%.2f", float64(d)/float64(time.Millisecond))
}
