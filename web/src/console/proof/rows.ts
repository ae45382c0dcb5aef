// Where a seq stands in the ledger.
import { api, corp, data, seq, type Schemas, type Seq } from '../api'

/** The row whose page or gap has the seq; undefined if no row has it. */
export async function rowOf(sought: Seq): Promise<Schemas['LedgerRow'] | undefined> {
  if (sought === '0') return undefined
  const query = { from: seq(BigInt(sought) - 1n), order: 'desc' as const, limit: 1 }
  const { rows } = await data(api.GET('/v1/corps/{corpid}/ledger', { params: { path: corp(), query } }))
  return rows[0] && BigInt(rows[0].last) >= BigInt(sought) ? rows[0] : undefined
}

/** Reads what an address names. */
export function seqOf(value: unknown): Seq | undefined {
  try {
    return typeof value === 'string' ? seq(value) : undefined
  } catch {
    return undefined
  }
}
