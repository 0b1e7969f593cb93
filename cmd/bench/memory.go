package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"headless.ly/cmd/bench/load"
)

// The bars of resident memory.
const (
	idleMB       = 200
	tenantsMB    = 1024 // after a create in each
	readMB       = 1536 // and a list of each
	tenantCount  = 1000
	idleWait     = 10 * time.Second
	closeLimit   = 2 * time.Minute // for all writers to close; one does after 30 s without a call
	openClients  = 16
	sampleEvery  = 100 * time.Millisecond
	memoryFormat = "  %-58s %8.0f MB %8.0f MB of its own\n"
)

// memory measures resident memory: of the demo, fresh and kept, and of a server that opened many tenants.
func (b *bench) memory(ctx context.Context, r *report) error {
	data, err := b.folder("demo")
	if err != nil {
		return err
	}
	r.title("resident memory, measured once (the rest of the first figure is pages of files, which the system may take back)")
	for _, name := range []string{"idle demo, after loading", "idle demo, started on the kept folder"} {
		m, err := b.demoMemory(ctx, data)
		if err != nil {
			return err
		}
		fmt.Fprintf(r.out, memoryFormat, name, m.residentMB(), m.ownMB())
		r.bar(m.residentMB() <= idleMB, "%s: %.0f MB (bar: ≤ %d MB)", name, m.residentMB(), idleMB)
	}
	return b.tenantsMemory(ctx, r)
}

// demoMemory starts the demo on a folder, lets it become idle and looks.
func (b *bench) demoMemory(ctx context.Context, data string) (m footprint, err error) {
	t, err := b.demo(ctx, data)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, t.stop()) }()
	if err := wait(ctx, pick(b, idleWait, 0)); err != nil {
		return m, err
	}
	return readFootprint(t.pid())
}

// tenantsMemory opens many tenants once.
func (b *bench) tenantsMemory(ctx context.Context, r *report) (err error) {
	t, err := b.product(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.stop()) }()
	names := tenantNames("tenant", pick(b, tenantCount, 20))
	start, err := readFootprint(t.pid())
	if err != nil {
		return err
	}
	fmt.Fprintf(r.out, memoryFormat, "empty server", start.residentMB(), start.ownMB())

	if err := b.memoryOf(ctx, r, t, fmt.Sprintf("%d tenants, one create each", len(names)), tenantsMB, func() error {
		return b.createInEach(ctx, r, t, names)
	}); err != nil {
		return err
	}
	if err := b.memoryOf(ctx, r, t, "and one list each", readMB, func() error { return b.listEach(ctx, r, t, names) }); err != nil {
		return err
	}
	closed, err := b.waitForClose(ctx, r, t)
	if err != nil {
		return err
	}
	after, err := readFootprint(t.pid())
	if err != nil {
		return err
	}
	fmt.Fprintf(r.out, memoryFormat, fmt.Sprintf("%.0f s later, %s", closed.Seconds(), pick(b, "all closed", "still open")),
		after.residentMB(), after.ownMB())
	return r.counted(t, names)
}

// memoryOf prints the peak of a server's memory while it is made to do something, and holds it against a bar.
func (b *bench) memoryOf(ctx context.Context, r *report, t *target, what string, mb float64, do func() error) error {
	sampling, stopSampling := context.WithCancel(ctx)
	defer stopSampling()
	peaks := make(chan footprint, 1)
	go func() { peaks <- peakFootprint(sampling, t.pid()) }()
	began := time.Now()
	if err := do(); err != nil {
		return err
	}
	took := time.Since(began)
	stopSampling()
	peak := <-peaks
	fmt.Fprintf(r.out, memoryFormat, fmt.Sprintf("%s, in %.1f s: peak", what, took.Seconds()), peak.residentMB(), peak.ownMB())
	r.bar(peak.residentMB() <= mb, "%s: peak %.0f MB (bar: ≤ %.0f MB)", what, peak.residentMB(), mb)
	return nil
}

// waitForClose waits until no tenant's log is open, and says how long that took.
func (b *bench) waitForClose(ctx context.Context, r *report, t *target) (time.Duration, error) {
	began := time.Now()
	for !b.short {
		open, err := openLogs(t.pid())
		if err != nil {
			return 0, err
		}
		if open == 0 {
			break
		}
		if time.Since(began) > closeLimit {
			r.fault("%d writers are still open %v after their last call", open, closeLimit)
			break
		}
		if err := wait(ctx, time.Second); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

// createInEach creates one contact in each tenant.
func (b *bench) createInEach(ctx context.Context, r *report, t *target, names []string) error {
	return b.oneOfEach(ctx, r, t, "first create of a tenant", len(names), func(int) load.Script { return newCreates(t, names) })
}

// listEach lists the contacts of each tenant.
func (b *bench) listEach(ctx context.Context, r *report, t *target, names []string) error {
	list := make([]question, len(names))
	for i, name := range names {
		list[i] = question{appendRequest(nil, request{method: "GET", path: t.contacts(name) + "?sort=name"}), checkStatus}
	}
	return b.oneOfEach(ctx, r, t, "first list of a tenant", len(names), func(i int) load.Script {
		return &questions{list: list, at: i * len(list) / openClients}
	})
}

// oneOfEach sends as many requests as there are tenants.
func (b *bench) oneOfEach(ctx context.Context, r *report, t *target, what string, requests int, script func(int) load.Script) error {
	l := load.Closed{Addr: t.addr, Clients: openClients, For: 10 * time.Minute, Requests: requests}
	s, err := l.Run(ctx, script)
	if err != nil {
		return fmt.Errorf("%w: %s said: %s", err, t.name, t.tail())
	}
	r.check(what, s)
	return nil
}

// checkStatus is the check of an answer whose content does not matter.
func checkStatus(a load.Answer) error {
	if a.Status != 200 {
		return unexpected(a, 200)
	}
	return nil
}

// wait waits, or gives the error with which ctx ended.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// peakFootprint looks again and again until ctx ends, and gives the largest it saw.
func peakFootprint(ctx context.Context, pid int) (peak footprint) {
	for wait(ctx, sampleEvery) == nil {
		if m, err := readFootprint(pid); err == nil && m.resident > peak.resident {
			peak = m
		}
	}
	return peak
}
