package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"headless.ly/catalog/problem"
	"headless.ly/ingest"
	"headless.ly/lakehouse"
)

// probeTimeout is how long all probes of one /readyz may take together.
const probeTimeout = 5 * time.Second

// alive: GET /healthz: the process answers
func alive(r *request) error {
	r.send(http.StatusOK, []byte(`{"status":"ok"}`))
	return nil
}

// readiness is the answer of a server that is ready.
type readiness struct {
	Status string           `json:"status"`
	Checks map[string]check `json:"checks"`
}

type check struct {
	OK           bool    `json:"ok"`
	Milliseconds float64 `json:"ms"`
}

// ready: GET /readyz: each probe does what it says, now
func ready(r *request) error {
	ctx, cancel := context.WithTimeout(r.c.Request.Context(), probeTimeout)
	defer cancel()
	select {
	case r.s.probing <- struct{}{}:
		defer func() { <-r.s.probing }()
	case <-ctx.Done():
		return problem.New(problem.Unavailable, "the server is still probing whether it is ready")
	}
	answer := readiness{Status: "ready", Checks: map[string]check{}}
	var failed []problem.Detail
	for _, p := range r.s.cfg.Probes {
		start := time.Now()
		if err := p.Check(ctx); err != nil {
			failed = append(failed, problem.Detail{Field: p.Name, Message: err.Error()})
			continue
		}
		answer.Checks[p.Name] = check{true, float64(time.Since(start).Microseconds()) / 1000}
	}
	if failed != nil {
		p := problem.New(problem.Unavailable, "the server is not ready")
		p.Details = failed
		return p
	}
	return r.sendJSON(http.StatusOK, answer)
}

// operation is the answer of /~tenant/status: the operational part of interfaces.md 2.16.
type operation struct {
	Tenant      string           `json:"tenant"`
	Provider    string           `json:"provider"`
	Initialized bool             `json:"initialized"` // the tenant has been written to
	Entities    map[string]int64 `json:"entities"`
	Log         logStatus        `json:"log"`
	Maintenance []choreStatus    `json:"maintenance"` // of all tenants' tables
	Cache       cacheStatus      `json:"cache"`       // of all tenants' tables
	Alerts      []alert          `json:"alerts"`
}

// condition is the answer of /status: of the server as a whole.
type condition struct {
	Maintenance []choreStatus `json:"maintenance"`
	Cache       cacheStatus   `json:"cache"`
	Alerts      []alert       `json:"alerts"`
	Engine      engineStatus  `json:"engine"`
}

// engineStatus is how the process does that queries run in.
type engineStatus struct {
	PID           int      `json:"pid"` // 0: it is being started
	Restarts      int      `json:"restarts"`
	UptimeSeconds float64  `json:"uptimeSeconds"`
	ResidentBytes int64    `json:"residentBytes"` // 0 where the system does not tell
	Fences        []string `json:"fences"`        // what the system holds the process in by
	Missing       []string `json:"missingFences"` // fences that the system lacks
}

// choreStatus is how one kind of maintenance of the lake does.
type choreStatus struct {
	Chore   string     `json:"chore"`
	State   string     `json:"state"` // idle, running, failing
	Backlog int        `json:"backlog"`
	Done    int64      `json:"done"`
	LastRun *time.Time `json:"lastRun"` // null: it has not run since the start
	NextRun *time.Time `json:"nextRun"`
	Error   string     `json:"error,omitempty"`
}

// cacheStatus is what the engine holds decoded of the published files, and of histories.
type cacheStatus struct {
	Bytes      int64   `json:"bytes"`
	LimitBytes int64   `json:"limitBytes"`
	Tables     int     `json:"tables"`
	Histories  int     `json:"histories"`
	Hits       int64   `json:"hits"`
	Misses     int64   `json:"misses"`
	HitRate    float64 `json:"hitRate"` // 0 before the first read
	Loads      int64   `json:"loads"`
	Failures   int64   `json:"failures"`
	Evictions  int64   `json:"evictions"`
}

type logStatus struct {
	Seq        int64   `json:"seq"`
	FlushedSeq int64   `json:"flushedSeq"`
	LagSeconds float64 `json:"lagSeconds"`
	SizeBytes  int64   `json:"sizeBytes"`
	TrimmedSeq int64   `json:"trimmedSeq"` // events up to here have left the log; the lake has them
	Queued     int     `json:"queued"`
}

type alert struct {
	Severity string  `json:"severity"`
	Metric   string  `json:"metric"`
	Value    float64 `json:"value"`
	Message  string  `json:"message"`
}

// status: GET /~tenant/status
func status(r *request) error {
	ctx, cancel := r.context()
	defer cancel()
	head, err := r.s.store.Head(ctx, r.tenant)
	if err != nil {
		return err
	}
	counts, err := r.s.store.Counts(ctx, r.tenant)
	if err != nil {
		return err
	}
	if counts == nil {
		counts = map[string]int64{}
	}
	writer, published := r.s.store.Status(r.tenant), r.s.lake.Status(r.tenant)
	return r.sendJSON(http.StatusOK, operation{
		Tenant: r.tenant, Provider: "local", Initialized: head > 0, Entities: counts,
		Log: logStatus{
			Seq: head, FlushedSeq: published.Published, LagSeconds: published.Lag.Seconds(),
			SizeBytes: writer.LogSize, TrimmedSeq: writer.Trimmed, Queued: writer.Queued,
		},
		Maintenance: r.s.maintenance(),
		Cache:       r.s.cache(),
		Alerts:      append(alerts(writer, published), failing(r.s.lake.Maintenance())...),
	})
}

// serverStatus: GET /status
func serverStatus(r *request) error {
	alerts := append([]alert{}, failing(r.s.lake.Maintenance())...)
	return r.sendJSON(http.StatusOK, condition{Maintenance: r.s.maintenance(), Cache: r.s.cache(), Alerts: alerts, Engine: r.s.engineStatus()})
}

// engineStatus asks the process that queries run in.
func (s *Service) engineStatus() engineStatus {
	e := s.reader.EngineStatus()
	return engineStatus{
		PID: e.PID, Restarts: e.Restarts, UptimeSeconds: e.Uptime.Seconds(), ResidentBytes: e.ResidentBytes,
		Fences: append([]string{}, e.Fences...), Missing: append([]string{}, e.Missing...),
	}
}

// maintenance lists the chores of the lake.
func (s *Service) maintenance() []choreStatus {
	all := []choreStatus{}
	for _, c := range s.lake.Maintenance() {
		all = append(all, choreStatus{Chore: c.Name, State: c.State, Backlog: c.Backlog, Done: c.Done,
			LastRun: moment(c.LastRun), NextRun: moment(c.NextRun), Error: c.Error})
	}
	return all
}

// cache says what the engine holds.
func (s *Service) cache() cacheStatus {
	c := s.reader.Cache()
	out := cacheStatus{Bytes: c.Bytes, LimitBytes: c.Limit, Tables: c.Tables, Histories: c.Histories, Hits: c.Hits, Misses: c.Misses,
		Loads: c.Loads, Failures: c.Failures, Evictions: c.Evictions}
	if reads := c.Hits + c.Misses; reads > 0 {
		out.HitRate = float64(c.Hits) / float64(reads)
	}
	return out
}

// moment gives a time as answers say it; nil where there is none.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Millisecond)
	return &t
}

// failing gives an alert for each chore whose last run failed.
func failing(chores []lakehouse.ChoreStatus) []alert {
	var found []alert
	for _, c := range chores {
		if c.Error != "" {
			found = append(found, alert{"warning", "maintenance", 1, c.Name + " failed and is tried again: " + c.Error})
		}
	}
	return found
}

const (
	// lagAlert is when publishing is late: outside engines are promised two seconds.
	lagAlert = 10 * time.Second
	// clockAlert is how far a tenant's last event may be ahead of the clock (correctness 4).
	clockAlert = time.Second
)

func alerts(w ingest.TenantStatus, p lakehouse.Status) []alert {
	found := []alert{}
	if p.Error != "" {
		found = append(found, alert{"critical", "publish", 1, "the last attempt to publish failed: " + p.Error})
	}
	if p.Lag > lagAlert {
		found = append(found, alert{"warning", "lagSeconds", p.Lag.Seconds(), fmt.Sprintf("publishing is %s late", p.Lag.Round(time.Second))})
	}
	if p.Behind {
		found = append(found, alert{"info", "behind", 1, "more days are waiting to be published than one commit takes"})
	}
	if w.Ahead > clockAlert {
		found = append(found, alert{"warning", "clockAheadSeconds", w.Ahead.Seconds(), fmt.Sprintf("the last event is %s ahead of the clock", w.Ahead.Round(time.Second))})
	}
	return found
}
