package server

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// listen listens on a loopback address and refuses every other. The check comes before the listening, so that not even a
// moment is open, and again after it, because a name may resolve differently the second time.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: want host:port: %w", addr, err)
	}
	if err := loopback(ctx, addr, host); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err // a *net.OpError names the address
	}
	if a, ok := l.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		l.Close()
		return nil, refusal(addr)
	}
	return l, nil
}

func loopback(ctx context.Context, addr, host string) error {
	if host == "" {
		return refusal(addr)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if !ip.Unmap().IsLoopback() {
			return refusal(addr)
		}
		return nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", addr, err)
	}
	for _, ip := range ips {
		if !ip.Unmap().IsLoopback() {
			return refusal(addr)
		}
	}
	return nil
}

// refusal is the sentence that says why.
func refusal(addr string) error {
	return fmt.Errorf("refuse to listen on %s: this server has no credentials, so whoever reaches it may read and change everything;"+
		" listen on a loopback address such as 127.0.0.1:8787", addr)
}
