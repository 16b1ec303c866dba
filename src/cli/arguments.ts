/** Parsers of option values. What they throw, commander prints beside the option's name. */
import { InvalidArgumentError } from 'commander';

export function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  };
}

export function upTo(most: number): (text: string) => number {
  return (text) => {
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    if (value <= most) return value;
    throw new InvalidArgumentError(`It must be a number from 0 to ${most}.`);
  };
}

export function positive(most: number): (text: string) => number {
  return (text) => {
    const value = upTo(most)(text);
    if (value > 0) return value;
    throw new InvalidArgumentError('It must be more than 0.');
  };
}
