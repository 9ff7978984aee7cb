/* SPDX-License-Identifier: ISC */
#include "quic/conn.h"

/*
 * Upward, each larger than the one before: ngtcp2 skips all that are not
 * smaller than one that failed.  The last two, which are then still to be
 * tried, are for tunnels within Ethernet.
 */
static const uint16_t PROBES[] = {
    1452, 4096, 8900, 16000, 32000, 60000, 1392, 1312};
#define PROBE_MAX 60000

size_t
quic_mtu_advertised(size_t payload_max)
{
	if (payload_max < QUIC_PAYLOAD_MIN)
		return QUIC_PAYLOAD_MIN;
	if (payload_max > NGTCP2_MAX_TX_UDP_PAYLOAD_SIZE)
		return NGTCP2_MAX_TX_UDP_PAYLOAD_SIZE;
	return payload_max;
}

void
quic_mtu_settings(ngtcp2_settings *st, size_t payload_max)
{
	size_t max = quic_mtu_advertised(payload_max);

	st->max_tx_udp_payload_size = max < PROBE_MAX ? max : PROBE_MAX;
	st->pmtud_probes = PROBES;
	st->pmtud_probeslen = sizeof(PROBES) / sizeof(PROBES[0]);
}

size_t
quic_mtu_payload(const struct quic *q)
{
	size_t path = ngtcp2_conn_get_path_max_tx_udp_payload_size(q->conn);

	return q->mtu.limit != 0 && q->mtu.limit < path ? q->mtu.limit : path;
}

size_t
quic_mtu_room(const struct quic *q, size_t cap)
{
	return q->mtu.limit != 0 && q->mtu.limit < cap ? q->mtu.limit : cap;
}
