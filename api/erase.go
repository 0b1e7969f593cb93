package api

import (
	"net/http"
	"time"

	"headless.ly/catalog/problem"
)

// eraseTenant: DELETE /~tenant?confirm=tenant, for operators: the tenant is erased for good, and the answer is the signed receipt
// (ingest/erasure/FORMAT.md). Each call is an audit event of the log.
func eraseTenant(r *request) error {
	v, err := r.values()
	if err != nil {
		return err
	}
	if v.Get("confirm") != r.tenant {
		p := problem.New(problem.InvalidRequest, "erasing cannot be undone: repeat the tenant's name as confirm")
		p.Field = "confirm"
		return p
	}
	if err := http.NewResponseController(r.c.Writer).SetWriteDeadline(time.Now().Add(eraseTimeout)); err != nil {
		return err
	}
	start := time.Now()
	signed, err := r.s.cfg.Eraser.Erase(r.c.Request.Context(), r.tenant)
	outcome := "ok"
	if err != nil {
		outcome = string(r.problem(err).Code)
	}
	r.s.log.Info("audit", "event", "tenant.erase", "request", r.requestID, "from", r.c.Request.RemoteAddr, "tenant", r.tenant,
		"outcome", outcome, "took", time.Since(start))
	if err != nil {
		return err
	}
	return r.sendJSON(http.StatusOK, signed)
}

// eraseTimeout is how long a caller can wait for the receipt; erasing goes on behind it, and keeps the receipt.
const eraseTimeout = 30 * time.Minute
