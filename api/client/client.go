package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The server and tenant of a Config that names none.
const (
	DefaultEndpoint = "http://127.0.0.1:8787"
	DefaultTenant   = "default"
)

// Config says where a Client calls. The zero value of a field means the default in its comment.
type Config struct {
	Endpoint string        // DefaultEndpoint
	Tenant   string        // DefaultTenant
	HTTP     *http.Client  // one of its own; its time limit bounds each attempt
	Patience time.Duration // 30 s: how long a call that may be repeated is
}

// Client calls one server for one tenant.
type Client struct {
	base     string // endpoint and tenant, without a slash at the end
	http     *http.Client
	patience time.Duration
}

// New checks the endpoint; it does not call it.
func New(cfg Config) (*Client, error) {
	if cfg.Endpoint == "" {
		cfg.Endpoint = DefaultEndpoint
	}
	if cfg.Tenant == "" {
		cfg.Tenant = DefaultTenant
	}
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{}
	}
	if cfg.Patience == 0 {
		cfg.Patience = 30 * time.Second
	}
	u, err := url.Parse(cfg.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("endpoint %q: want http://host:port", cfg.Endpoint)
	}
	base := strings.TrimRight(cfg.Endpoint, "/") + "/~" + url.PathEscape(strings.TrimPrefix(cfg.Tenant, "~"))
	return &Client{base: base, http: cfg.HTTP, patience: cfg.Patience}, nil
}

// Call is one request below the tenant's address.
type Call struct {
	Method         string // GET
	Path           string // escaped, from the slash on: /Contact/contact_Rk3vTz8Q
	Query          url.Values
	Body           []byte
	ContentType    string // application/json, where there is a body
	Accept         string // application/json
	IdempotencyKey string
	Repeatable     bool // it changes nothing, whatever its method

	stream *counted // instead of Body, of any size
}

// repeatable says whether sending the call twice does what sending it once does.
func (c Call) repeatable() bool {
	return c.Repeatable || c.IdempotencyKey != "" || c.Method == "" || c.Method == http.MethodGet
}

// Error is the error object of an answer.
type Error struct {
	Status     int           `json:"-"`
	Code       string        `json:"error"`
	Message    string        `json:"message"`
	Type       string        `json:"type"`
	ID         string        `json:"id"`
	Field      string        `json:"field"`
	ExistingID string        `json:"existingId"`
	Version    int64         `json:"$version"`
	Position   *int          `json:"position"` // in a SQL statement
	Details    []Detail      `json:"details"`
	RequestID  string        `json:"requestId"`
	RetryAfter time.Duration `json:"-"`
}

// Detail is what is wrong with one field.
type Detail struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Error gives code, message and details in one line.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Code, e.Message)
	for _, d := range e.Details {
		fmt.Fprintf(&b, "; %s: %s", d.Field, d.Message)
	}
	return b.String()
}

// temporary says whether the same call may succeed later.
func (e *Error) temporary() bool {
	return e.Status == http.StatusTooManyRequests || e.Status == http.StatusBadGateway || e.Status == http.StatusServiceUnavailable
}

// Do sends a call and gives the body of a successful answer. It waits and repeats as promise 2 of the package allows.
func (c *Client) Do(ctx context.Context, call Call) ([]byte, error) {
	end := time.Now().Add(c.patience)
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		body, err := c.once(ctx, call)
		if err == nil || !call.repeatable() || ctx.Err() != nil {
			return body, err
		}
		if call.stream != nil && !call.stream.again() {
			return nil, err
		}
		if e, answered := errors.AsType[*Error](err); answered {
			if !e.temporary() {
				return nil, err
			}
			pause = max(pause, e.RetryAfter)
		}
		if time.Now().Add(pause).After(end) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		case <-time.After(pause):
		}
	}
}

func (c *Client) once(ctx context.Context, call Call) ([]byte, error) {
	req, err := c.request(ctx, call)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err // a *url.Error names the method and the address
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read answer of %s: %w", call.Path, err)
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return body, nil
	}
	return nil, readError(resp, body)
}

// request makes the HTTP request of a call.
func (c *Client) request(ctx context.Context, call Call) (*http.Request, error) {
	address := c.base + call.Path
	if len(call.Query) > 0 {
		address += "?" + call.Query.Encode()
	}
	var body io.Reader = bytes.NewReader(call.Body)
	if call.stream != nil {
		body = call.stream.begin()
	}
	req, err := http.NewRequestWithContext(ctx, call.Method, address, body)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", call.Path, err)
	}
	if len(call.Body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range map[string]string{"Content-Type": call.ContentType, "Accept": call.Accept, "Idempotency-Key": call.IdempotencyKey} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	return req, nil
}

// readError makes an Error of any answer; one that is not ours has its status as code.
func readError(resp *http.Response, body []byte) error {
	e := &Error{Status: resp.StatusCode}
	if err := json.Unmarshal(body, e); err != nil || e.Code == "" {
		e.Code, e.Message = "http_"+strconv.Itoa(resp.StatusCode), http.StatusText(resp.StatusCode)
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}
