package api

import (
	"strings"

	"headless.ly/catalog/problem"
)

// defaultTenant serves /api requests that name none (open mode).
const defaultTenant = "default"

// resolveTenant finds the one tenant that path, x-tenant and X-Context name together, in this order. Two of them that
// disagree are an error. A route outside /~tenant and /api has none.
func (r *request) resolveTenant() (string, error) {
	segment, inPath := r.c.Params.Get("tenant")
	if !inPath && !r.api {
		return "", nil
	}
	var found string
	take := func(source, text string) error {
		t, err := parseTenant(text)
		if err != nil {
			return err
		}
		if found != "" && found != t {
			return problem.New(problem.TenantMismatch, "%s names the tenant %q, but the request is for %q", source, t, found)
		}
		found = t
		return nil
	}
	if inPath {
		if err := take("the path", segment); err != nil {
			return "", err
		}
	}
	if text := r.header("X-Tenant"); text != "" {
		if err := take("x-tenant", text); err != nil {
			return "", err
		}
	}
	if text := r.header("X-Context"); text != "" {
		if err := take("X-Context", contextTenant(text)); err != nil {
			return "", err
		}
	}
	if found == "" {
		found = defaultTenant
	}
	return found, nil
}

// contextTenant is the tenant in https://headless.ly/~birch; of text that is no such address it is the text itself.
func contextTenant(text string) string {
	_, rest, ok := strings.Cut(text, "/~")
	if !ok {
		return text
	}
	tenant, _, _ := strings.Cut(rest, "/")
	return tenant
}

// maxTenant is the length of the longest tenant name.
const maxTenant = 63

// parseTenant checks a tenant's name, as it stands in a path or header, and gives it in lower case. Nothing that could
// be read as a path comes through.
func parseTenant(text string) (string, error) {
	name, ok := decode(text)
	if !ok || !validTenant(name) {
		return "", problem.New(problem.InvalidTenant,
			"a tenant is 1 to %d characters from a-z 0-9 . _ -, begins with a letter or digit and has no two dots in a row", maxTenant)
	}
	return strings.ToLower(name), nil
}

func validTenant(name string) bool {
	if name == "" || len(name) > maxTenant || strings.Contains(name, "..") {
		return false
	}
	for i := range len(name) {
		c := name[i] | 0x20
		alphanumeric := 'a' <= c && c <= 'z' || '0' <= name[i] && name[i] <= '9'
		mark := name[i] == '.' || name[i] == '_' || name[i] == '-'
		if !alphanumeric && (!mark || i == 0) {
			return false
		}
	}
	return true
}
