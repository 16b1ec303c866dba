/** The credential of an `Authorization: Bearer <credential>` header; null for any other, or none. */
export function bearerOf(authorization: string): string | null {
  return /^bearer (.+)$/i.exec(authorization)?.[1] ?? null;
}
