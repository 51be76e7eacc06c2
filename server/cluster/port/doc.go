// Package port is the one port that the servers of a cluster reach each other at.
//
// The first byte of a connection says what the connection carries: 0x01 Raft, 0x02
// HTTP between servers. A further kind can be added without another port. TLS goes
// around both, below the first byte.
//
// Who gets in: TLS is version 1.3, and both sides show a certificate that the CA of
// the cluster signed for the name ServerName. The name stands for the role, so the
// CA may sign certificates for others too. After the handshake the server sends one
// byte of welcome, and the caller waits for it. In TLS 1.3 the caller would
// otherwise learn of a refusal only at its first read. Certificate and CAs are asked
// for at each handshake, so a new certificate holds from the next connection on.
//
// A refusal is logged on both sides, with its reason, once an hour.
//
// Close ends all goroutines of a Port. It waits for the loop that accepts and for
// the readers of first bytes, of which there is one for each new connection. It
// does not wait for those of Raft's transport, which has no way to.
//
// The package does not know what the connections say.
package port
