import { estimateErrors } from '../estimation/likelihood/estimate-errors.js';
import { writeErrorTable } from '../variance/error-table.js';
import { estimateCommand, ofModel } from './estimate-command.js';

export const costsCommand = estimateCommand({
  name: 'costs',
  summary: 'Estimates from images what the optimal trajectories of DDPM with fixed variances are made of.',
  images: 'uint8 or float32 on the grid of 8 bits in [-1, 1]',
  enough: 'several hundred give a steady trajectory',
  columns: 'squared errors and decoder terms',
  estimate: ofModel(estimateErrors),
  write: writeErrorTable,
});
