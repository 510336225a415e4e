// Package tlsfiles makes a client's TLS of the PEM files that a configuration names.
package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// Files are the PEM files; each may be missing.
type Files struct {
	CA        string // the authorities that sign the server's certificate; the system's when empty
	Cert, Key string // the client's certificate
}

// Config is nil when no file is named: a server is then checked with the system's authorities.
func (f Files) Config() (*tls.Config, error) {
	if f == (Files{}) {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CA != "" {
		pem, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, fmt.Errorf("read the authorities (ca): %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", f.CA)
		}
	}
	if f.Cert != "" || f.Key != "" {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fmt.Errorf("read the client's certificate (cert, key): %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
